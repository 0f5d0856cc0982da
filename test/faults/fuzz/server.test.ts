// Hostile requests to the program itself, over sockets: bytes that are hardly HTTP, and requests that
// are, with anything in their paths, queries, headers and bodies. It answers each, never with a 500,
// soon; it goes on; and it writes nothing anywhere but where its content belongs.

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Random } from '../../simulation/random.ts'
import { makeBlob, pushConfig, pushTag, startSession } from '../../support/push-steps.ts'
import { RawConnection } from '../../support/raw-connection.ts'
import { basicHeader, type Registry, startRegistry } from '../../support/start-registry.ts'
import { fuzz } from './budget.ts'
import { bend, hostileJson, maybeBend, oneByte } from './generate.ts'

const user = { name: 'ann', password: 'correct horse' }
/** Nothing of these tests is to reach another registry. */
const config = 'registry_proxies:\n  offline: true\n'
const blob = makeBlob('fuzz', 5_000)

for (const access of ['open to everybody', 'with a login'] as const) {
  describe(`a registry that is ${access}`, () => {
    let registry: Registry
    let location: string
    let connection: RawConnection | undefined
    before(async () => {
      const login = access === 'with a login' ? { user, anonymousPull: false } : {}
      registry = await startRegistry({ config, ...login })
      await registry.pushBlob('fuzz/any', blob)
      await pushTag(registry, 'fuzz/any', 'v1')
      await pushConfig(registry, 'fuzz/any')
      location = await startSession(registry, 'fuzz/any')
    })
    after(async () => {
      connection?.[Symbol.dispose]()
      await registry[Symbol.asyncDispose]()
    })

    test('answers every request in its own way', async (t) => {
      await fuzz(t, 4, async (random) => {
        connection ??= await RawConnection.open(registry.url)
        const method = maybeMethod(random)
        connection.write(Buffer.from(request(random, method, location), 'latin1'))
        const reply = await connection.readReply(method)
        assert.ok(reply.status >= 200 && reply.status !== 500, `${reply.status}`)
        assert.ok(reply.status < 500 || reply.status === 501, `${reply.status}`)
        if (reply.status >= 400 && method !== 'HEAD') assert.ok(reply.codes().length > 0)
        if (reply.headers['connection'] !== 'close') return
        await connection.readToEnd()
        connection[Symbol.dispose]()
        connection = undefined
      })
    })

    test('answers or cuts what is hardly a request', async (t) => {
      await fuzz(t, 3, async (random) => {
        const bytes = bend(random, request(random, maybeMethod(random), location))
        using own = await RawConnection.open(registry.url)
        own.write(Buffer.from(bytes, 'latin1'))
        own.socket.end()
        const answers = (await own.readToEnd()).toString('latin1')
        assert.doesNotMatch(answers, /^HTTP\/1\.1 50[023]/m)
      })
    })

    test('is none the worse for it', async () => {
      const path = `/v2/fuzz/any/blobs/${blob.digest}`
      const got = await registry.request('GET', path)
      assert.ok(got.status === 404 || got.body.equals(blob.bytes))
      assert.equal((await registry.request('GET', '/readiness')).status, 200)
      const errors = registry.logs().filter(({ level }) => level === 'error' || level === 'fatal')
      assert.deepEqual(errors, [])
      await assertNothingElse(registry.dataDirectory)
    })
  })
}

const methods = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND'] as const

function maybeMethod(random: Random): string {
  return random.pick(methods)
}

/** A well-formed request; what it says may be anything. */
function request(random: Random, method: string, location: string): string {
  const target = printable(maybeBend(random, random.pick(targets(location))))
  const body = random.chance(3) ? oneByte(bodyOf(random)) : ''
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: registry.test']
  for (const [name, value] of headers) {
    if (random.chance(4)) lines.push(`${name}: ${field(maybeBend(random, value))}`)
  }
  if (random.chance(8) && body !== '') {
    const size = Buffer.byteLength(body, 'latin1').toString(16)
    const chunks = `${size}\r\n${body}\r\n0\r\n\r\n`
    return [...lines, 'Transfer-Encoding: chunked', '', chunks].join('\r\n')
  }
  const length = Buffer.byteLength(body, 'latin1')
  return [...lines, `Content-Length: ${length}`, '', body].join('\r\n')
}

function targets(location: string): string[] {
  const digest = blob.digest
  return [
    '/',
    '/v2/',
    '/token?service=trow_registry&scope=repository:fuzz/any:pull,push&account=ann',
    '/v2/_catalog?n=5&last=a',
    '/v2/fuzz/any/tags/list?n=1&last=v0',
    '/v2/fuzz/any/manifests/v1',
    `/v2/fuzz/any/manifests/${digest}?tag=a&tag=b`,
    `/v2/fuzz/any/blobs/${digest}`,
    `/v2/fuzz/any/referrers/${digest}?artifactType=a/b&n=3&last=${digest}`,
    '/v2/fuzz/any/blobs/uploads/',
    `/v2/fuzz/any/blobs/uploads/?digest=${digest}`,
    `/v2/fuzz/other/blobs/uploads/?mount=${digest}&from=fuzz/any`,
    `${location}?digest=${digest}`,
    location,
    '/v2/f/docker.io/library/nginx/manifests/latest',
    `/v2/library/nginx/blobs/${digest}?ns=docker.io`,
    '/metrics',
  ]
}

const headers: readonly (readonly [string, string])[] = [
  ['Authorization', basicHeader(user)],
  ['Authorization', 'Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln'],
  ['Range', 'bytes=0-9,20-29'],
  ['Content-Range', '0-9'],
  ['If-None-Match', `"${blob.digest}"`],
  ['If-Range', `"${blob.digest}"`],
  ['Accept', 'application/vnd.oci.image.manifest.v1+json'],
  ['Content-Type', 'application/vnd.oci.image.manifest.v1+json'],
  ['Content-Type', 'application/x-www-form-urlencoded'],
  ['Forwarded', 'for=192.0.2.1;proto=https;host=a.example'],
  ['X-Forwarded-Host', 'a.example'],
  ['Origin', 'https://a.example'],
  ['Access-Control-Request-Method', 'PUT'],
  ['User-Agent', 'docker/27.0'],
]

function bodyOf(random: Random): string {
  const form = 'grant_type=password&username=ann&password=x&service=y&scope=repository:a:pull'
  const config = `{"mediaType":"application/vnd.example","digest":"${blob.digest}","size":5000}`
  const manifest = `{"schemaVersion":2,"config":${config},"layers":[${config}]}`
  const field = `"${random.pick(['layers', 'subject', 'annotations'])}":${hostileJson(random)}`
  return random.pick([
    maybeBend(random, form),
    maybeBend(random, manifest),
    `{${field},${manifest.slice(1)}`,
    hostileJson(random),
    blob.bytes.toString('latin1'),
  ])
}

/** What may stand in a request line. */
function printable(text: string): string {
  return (
    oneByte(text).replace(/[\0-\x20\x7f]/g, (character) => encodeURIComponent(character)) || '/'
  )
}

function field(text: string): string {
  const bytes = oneByte(text)
  // oxlint-disable-next-line no-control-regex
  return bytes.replace(/[\0-\x1f\x7f]/g, ' ').trim()
}

const root = [
  'blobs',
  'format.json',
  'lock',
  'links.log',
  'lock-journal',
  'metadata.db',
  'owner.json',
  'quarantine',
  'token.key',
  'uploads',
]

async function assertNothingElse(directory: string): Promise<void> {
  const beside = await readdir(dirname(directory))
  assert.deepEqual(
    beside.filter((name) => !['data', 'trow.yaml'].includes(name)),
    [],
  )
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(directory.length + 1)
    const isBlob = /^blobs\/(sha256|sha512)(\/[0-9a-f]{2}(\/[0-9a-f]{64,128})?)?$/.test(path)
    const isUpload = /^uploads\/[0-9a-f-]{36}$/.test(path)
    const isKnown = root.includes(path) || /^metadata\.db-(?:wal|shm)$/.test(path)
    assert.ok(isBlob || isUpload || isKnown, path)
  }
}
