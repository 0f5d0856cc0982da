/** The API's base (specification, "Determining Support") and the page a person sees at `/`. */
import type { Authenticator } from '../../auth/authenticator.ts'
import { challengeHeaders } from '../access-control.ts'
import type { Exchange, Route } from '../exchange.ts'
import type { Reply } from '../reply.ts'

export function baseRoutes(authenticator: Authenticator, version: string): Route[] {
  const ping = {
    access: 'login',
    handle: (exchange: Exchange) => answerPing(authenticator, exchange),
  } as const
  const page = {
    access: 'public',
    handle: (exchange: Exchange) => welcome(exchange, version),
  } as const
  return [
    { name: 'base', pattern: '/v2/', endpoints: { GET: ping, HEAD: ping } },
    { name: 'base', pattern: '/v2', endpoints: { GET: ping, HEAD: ping } },
    { name: 'welcome', pattern: '/', endpoints: { GET: page, HEAD: page } },
  ]
}

/** Even a 200 may come with challenges: they tell a client that pushing needs a login. */
function answerPing(authenticator: Authenticator, exchange: Exchange): Reply {
  const agent = exchange.headers['user-agent']
  const challenge = authenticator.authorizePing(exchange.context.principal, agent)
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/json',
      ...challengeHeaders(authenticator, challenge, exchange.origin),
    },
    body: '{}',
  }
}

function welcome(exchange: Exchange, version: string): Reply {
  return {
    status: 200,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'",
    },
    body: page(escapeHtml(exchange.origin.replace(/^https?:\/\//, '')), escapeHtml(version)),
  }
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function page(host: string, version: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trow at ${host}</title>
<style>
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1rem;
         color: #1f2933; background: #fff; }
  h1 { font-size: 1.6rem; margin-bottom: 0; }
  h2 { font-size: 1.1rem; margin-top: 2rem; }
  p.version { color: #52606d; margin-top: 0; }
  pre { background: #f0f4f8; border-radius: .4rem; padding: .8rem 1rem; overflow-x: auto; }
  @media (prefers-color-scheme: dark) {
    body { color: #e4e7eb; background: #16191d; }
    p.version { color: #9aa5b1; }
    pre { background: #23282e; }
  }
</style>
<h1>Trow, the cluster registry</h1>
<p class="version">Version ${version}</p>
<p>This is a container image registry. Images are pushed to and pulled from <b>${host}</b> with the
client you have.</p>
<h2>Push an image</h2>
<pre>docker tag my-app ${host}/my-app:v1
docker push ${host}/my-app:v1</pre>
<h2>Pull it</h2>
<pre>docker pull ${host}/my-app:v1</pre>
<h2>See what is here</h2>
<pre>trow ls ${host}
trow inspect ${host}/my-app:v1</pre>
</html>
`
}
