/**
 * Behind a proxy: Location headers and challenges name the address that the client used, as trusted
 * proxies tell it, and nobody else. Otherwise Locations are relative, which works anywhere.
 */
import assert from 'node:assert/strict'
import type { OutgoingHttpHeaders } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { makeBlob, withDigest } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const user = { name: 'ann', password: 'secret' }
const uploads = '/v2/proxy/any/blobs/uploads/'

let trusting: Registry
let wary: Registry
before(async () => {
  trusting = await startRegistry({ user })
  wary = await startRegistry({ user, flags: ['--trusted-proxies', '10.0.0.0/8'] })
})
after(async () => {
  await trusting[Symbol.asyncDispose]()
  await wary[Symbol.asyncDispose]()
})

const told: [headers: OutgoingHttpHeaders, origin: string][] = [
  [{ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'reg.example' }, 'https://reg.example'],
  [
    { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'reg.example', 'x-forwarded-port': '8443' },
    'https://reg.example:8443',
  ],
  [
    { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'reg.example:5000' },
    'https://reg.example:5000',
  ],
  [{ 'x-forwarded-proto': 'https', host: 'asked.example' }, 'https://asked.example'],
  [{ 'x-forwarded-port': '8443', host: 'asked.example' }, 'http://asked.example:8443'],
  [{ forwarded: 'proto=https;host=reg.example' }, 'https://reg.example'],
  [{ forwarded: 'for=192.0.2.1;proto=https;host="reg.example:8443"' }, 'https://reg.example:8443'],
  [
    { forwarded: 'proto=https;host=new.example', 'x-forwarded-host': 'old.example' },
    'https://new.example',
  ],
  [{ 'x-forwarded-host': '[2001:db8::1]:5000' }, 'http://[2001:db8::1]:5000'],
]

describe('a trusted proxy', () => {
  for (const [headers, origin] of told) {
    test(`tells where Locations and challenges lead: ${JSON.stringify(headers)}`, async () => {
      const post = await trusting.request('POST', uploads, { headers })
      assert.equal(post.status, 202)
      assert.ok(post.header('location').startsWith(`${origin}${uploads}`), post.header('location'))
      const path = new URL(post.header('location')).pathname
      const { bytes, digest } = makeBlob(origin)
      const patch = await trusting.request('PATCH', path, { headers, body: bytes })
      assert.equal(patch.header('location'), `${origin}${path}`)
      const status = await trusting.request('GET', path, { headers })
      assert.equal(status.header('location'), `${origin}${path}`)
      const wrong = await trusting.request('PATCH', path, {
        headers: { ...headers, 'content-range': '0-0' },
        body: 'x',
      })
      assert.deepEqual([wrong.status, wrong.header('location')], [416, `${origin}${path}`])
      const put = await trusting.request('PUT', withDigest(path, digest), { headers })
      assert.equal(put.header('location'), `${origin}/v2/proxy/any/blobs/${digest}`)
      const refused = await trusting.request('GET', '/v2/', { headers, anonymous: true })
      assert.match(refused.rawHeaders.join(), new RegExp(`realm="${RegExp.escape(origin)}/token"`))
    })
  }

  for (const headers of [
    { 'x-forwarded-host': 'evil.example/path' },
    { 'x-forwarded-host': 'a b' },
    { 'x-forwarded-proto': 'gopher' },
    { 'x-forwarded-port': '99999' },
    { forwarded: 'host="evil' },
    { forwarded: 'host="a\\"b"' },
  ] satisfies OutgoingHttpHeaders[]) {
    test(`that says nonsense is not heard: ${JSON.stringify(headers)}`, async () => {
      const post = await trusting.request('POST', uploads, { headers })
      assert.ok(post.header('location').startsWith(uploads), post.header('location'))
    })
  }

  test('tells the address of the client, for the log', async () => {
    const headers = { 'x-forwarded-for': '198.51.100.7' }
    const id = (await trusting.request('GET', '/v2/', { headers })).header('x-request-id')
    const line = await trusting.logged(({ request }) => request === id)
    assert.equal(line['client'], '198.51.100.7')
  })
})

describe('without any proxy', () => {
  test('Locations are relative, and challenges name the Host', async () => {
    const headers = { host: 'asked.example:1234' }
    const post = await trusting.request('POST', uploads, { headers })
    assert.ok(post.header('location').startsWith(uploads))
    const refused = await trusting.request('GET', '/v2/', { headers, anonymous: true })
    assert.match(refused.rawHeaders.join(), /realm="http:\/\/asked\.example:1234\/token"/)
  })
})

describe('a proxy that is not trusted', () => {
  for (const [headers, origin] of told) {
    test(`is not heard: ${JSON.stringify(headers)}`, async () => {
      const post = await wary.request('POST', uploads, { headers })
      assert.ok(post.header('location').startsWith(uploads), post.header('location'))
      const refused = await wary.request('GET', '/v2/', { headers, anonymous: true })
      if (!('host' in headers)) assert.ok(!refused.rawHeaders.join().includes(origin))
    })
  }

  test('does not tell the address of the client', async () => {
    const headers = { 'x-forwarded-for': '198.51.100.7' }
    const id = (await wary.request('GET', '/v2/', { headers })).header('x-request-id')
    const line = await wary.logged(({ request }) => request === id)
    assert.equal(line['client'], '127.0.0.1')
  })
})
