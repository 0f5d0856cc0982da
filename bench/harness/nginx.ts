// nginx with one worker. It serves a directory of content (content.ts), as the pace of static files or
// as another registry that images are pulled from, whose access log says what it was asked for; or it
// stands before a registry that zb does not get along with.

import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Bench } from './bench.ts'
import type { Content } from './content.ts'
import { getProgram } from './programs.ts'
import { Server } from './server.ts'

export interface NginxOptions {
  /** Answers as a registry does, with digests and media types. */
  readonly asRegistry?: boolean
  /** Of each answer. */
  readonly bytesPerSecondMax?: number
}

export function startNginx(
  bench: Bench,
  content: Content,
  options: NginxOptions = {},
): Promise<Server> {
  return start(bench, 'nginx', (port) => contentBlock(port, { ...options, content }))
}

/**
 * Before distribution, for clients that drop the query of an upload's URL, in which distribution keeps
 * its state: here that is a part of the path.
 */
export function startStateProxy(bench: Bench, registry: Server): Promise<Server> {
  return start(bench, registry.name, (port) => proxyBlock(port, registry))
}

async function start(
  { scratch }: Bench,
  name: string,
  blockOf: (port: number) => string,
): Promise<Server> {
  const directory = scratch.directory('nginx')
  const port = await findFreePort()
  mkdirSync(join(directory, 'temporary'))
  const config = join(directory, 'nginx.conf')
  writeFileSync(config, configOf(directory, blockOf(port)))
  return Server.start({
    name,
    program: getProgram('nginx'),
    args: ['-p', directory, '-c', config],
    home: directory,
    findUrl: () => `http://127.0.0.1:${port}`,
  })
}

/** Requests of its log, `GET /v2/... 200`. */
export function requestsOf(log: string): string[] {
  return log.split('\n').filter((line) => /^[A-Z]+ \//.test(line))
}

/** Debian's own configuration, in one process: daemon and master have no part in serving. */
function configOf(directory: string, block: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path temporary/${name};`)
    .join(' ')
  return `
    daemon off; master_process off; pid ${directory}/pid; error_log stderr;
    events { worker_connections 1024; }
    http {
      ${temporary}
      sendfile on; tcp_nopush on; keepalive_requests 1000000000;
      log_format short '$request_method $request_uri $status';
      ${block}
    }`
}

interface ContentOptions extends NginxOptions {
  readonly content: Content
}

function contentBlock(port: number, { content, ...options }: ContentOptions): string {
  const { asRegistry = false, bytesPerSecondMax } = options
  return `
    access_log /dev/stdout ${asRegistry ? 'short' : 'combined'};
    ${asRegistry ? digestMap(content) : ''}
    server {
      listen 127.0.0.1:${port};
      root ${content.directory};
      default_type application/octet-stream;
      ${bytesPerSecondMax === undefined ? '' : `limit_rate ${Math.round(bytesPerSecondMax)};`}
      location = /v2/ { return 200 '{}'; }
      ${asRegistry ? registryLocations : ''}
    }`
}

/** Bytes pass through in large pieces and on no disk, over connections that stay open; the registry logs what is asked. */
function proxyBlock(port: number, { host }: Server): string {
  return `
    access_log off;
    upstream registry { server ${host}; keepalive 32; keepalive_requests 1000000000; }
    server {
      listen 127.0.0.1:${port};
      client_max_body_size 0;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      client_body_buffer_size 1m;
      proxy_max_temp_file_size 0;
      proxy_buffers 8 256k;
      proxy_busy_buffers_size 512k;
      proxy_redirect ~^http://[^/]+(/v2/.+/blobs/uploads/[^/]+)[?]_state=(.+)$ $1/state/$2;
      location / { proxy_pass http://registry; }
      location ~ ^(/v2/.+/blobs/uploads/[^/]+)/state/(.+)$ {
        proxy_pass http://registry$1?_state=$2&$args;
      }
    }`
}

const registryLocations = `
  add_header Docker-Content-Digest $content_digest;
  location ~ /manifests/ { default_type application/vnd.oci.image.manifest.v1+json; }`

/** A path by digest tells it; that of a tag is looked up. */
function digestMap({ images }: Content): string {
  const tags = images.map(
    ({ repository, tag, manifest }) => `/v2/${repository}/manifests/${tag} ${manifest.digest};`,
  )
  return `map $uri $content_digest { "~(?<digest>sha256:[0-9a-f]+)$" $digest; ${tags.join(' ')} }`
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject).listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
