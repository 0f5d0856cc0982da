/**
 * Blobs on their way from an upstream: sent on as they arrive, from one transfer for all who ask,
 * with ranges, whoever comes late or leaves early; and on a full disk, too.
 */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { corrupting } from '../support/fake-upstream-behaviours.ts'
import type { Behaviour } from '../support/fake-upstream.ts'
import { imageFixture, sha256Digest } from '../support/image-fixture.ts'
import { type Scene, startScene } from '../support/pull-through.ts'
import { assertError } from '../support/push-steps.ts'
import type { RawConnection } from '../support/raw-connection.ts'
import { until } from '../support/until.ts'

const MiB = 1024 * 1024

let scene: Scene
before(async () => {
  scene = await startScene()
})
after(() => scene[Symbol.asyncDispose]())

/** As proxies do that pass on what they have not got whole. */
const chunked: Behaviour = async (_, next) => {
  const answer = await next()
  const headers = { ...answer.headers, 'transfer-encoding': 'chunked', 'content-length': [] }
  return { ...answer, headers }
}

function getsOf(digest: string): number {
  return scene.count(new RegExp(`^GET .*/blobs/${digest}`))
}

/** What a client that only reads gets of a blob, whether or not the connection lasts. */
async function readAll(connection: RawConnection, size: number): Promise<Buffer> {
  return await connection.readBytes(size)
}

describe('a blob that is on its way', () => {
  test('6. reaches the client while the upstream is still sending', async () => {
    const { digest, bytes, gate } = scene.addHeldBlob('early', 4 * MiB, 100_000)
    using client = await scene.openBlob(digest)
    const head = await client.readHead()
    assert.equal(head.status, 200)
    assert.equal(head.headers['content-length'], String(bytes.length))
    assert.equal(head.headers['docker-content-digest'], digest)
    assert.equal(head.headers['accept-ranges'], 'bytes')
    assert.equal(head.headers['x-cache'], 'MISS')
    assert.ok(bytes.subarray(0, 100_000).equals(await client.readBytes(100_000)))
    gate.open()
    assert.ok(bytes.subarray(100_000).equals(await readAll(client, bytes.length - 100_000)))
  })

  test('7. is fetched once for fifty clients, who all get it', async () => {
    const { digest, bytes, gate } = scene.addHeldBlob('fifty', MiB, MiB / 2)
    const clients = await Promise.all(Array.from({ length: 50 }, () => scene.openBlob(digest)))
    try {
      const heads = await Promise.all(clients.map((client) => client.readHead()))
      const caches = heads.map(({ headers }) => headers['x-cache'])
      assert.equal(caches.filter((cache) => cache === 'MISS').length, 1)
      assert.equal(caches.filter((cache) => cache === 'COALESCED').length, 49)
      gate.open()
      const bodies = await Promise.all(clients.map((client) => readAll(client, bytes.length)))
      assert.ok(bodies.every((body) => body.equals(bytes)))
    } finally {
      for (const client of clients) client[Symbol.dispose]()
    }
    assert.equal(getsOf(digest), 1)
    await scene.kept(digest)
    const again = await scene.blob(digest)
    assert.equal(again.header('x-cache'), 'HIT')
    assert.ok(again.body.equals(bytes))
    assert.equal(getsOf(digest), 1)
  })

  test('8. gives a client that joins at 90 % what is here at once, from the start', async () => {
    const here = Math.floor(0.9 * 2 * MiB)
    const { digest, bytes, gate } = scene.addHeldBlob('late', 2 * MiB, here)
    using first = await scene.openBlob(digest)
    await first.readHead()
    await first.readBytes(here)
    using late = await scene.openBlob(digest)
    assert.equal((await late.readHead()).headers['x-cache'], 'COALESCED')
    assert.ok(bytes.subarray(0, here).equals(await late.readBytes(here)))
    gate.open()
    assert.ok(bytes.subarray(here).equals(await readAll(late, bytes.length - here)))
    assert.equal(getsOf(digest), 1)
  })

  test('9. is sent in ranges, of what is here and of what is to come', async () => {
    const { digest, bytes, gate } = scene.addHeldBlob('ranges', MiB, MiB / 2)
    using whole = await scene.openBlob(digest)
    assert.equal((await whole.readHead()).status, 200)
    using here = await scene.openBlob(digest, { Range: 'bytes=1000-1999' })
    using open = await scene.openBlob(digest, { Range: 'bytes=5000-' })
    using last = await scene.openBlob(digest, { Range: 'bytes=-10' })
    const heads = await Promise.all([here, open, last].map((client) => client.readHead()))
    assert.deepEqual(
      heads.map(({ status, headers }) => [status, headers['content-range']]),
      [
        [206, `bytes 1000-1999/${MiB}`],
        [206, `bytes 5000-${MiB - 1}/${MiB}`],
        [206, `bytes ${MiB - 10}-${MiB - 1}/${MiB}`],
      ],
    )
    assert.ok(bytes.subarray(1000, 2000).equals(await here.readBytes(1000)))
    gate.open()
    assert.ok(bytes.subarray(5000).equals(await open.readBytes(MiB - 5000)))
    assert.ok(bytes.subarray(-10).equals(await last.readBytes(10)))
    assert.ok(bytes.equals(await readAll(whole, MiB)))
    assert.equal(getsOf(digest), 1)
  })

  test('9. refuses a range outside of it, and is still fetched', async () => {
    const { digest, bytes, gate } = scene.addHeldBlob('outside', MiB, 1000)
    const reply = await scene.blob(digest, { range: `bytes=${MiB}-` })
    assertError(reply, 416, 'RANGE_INVALID')
    assert.equal(reply.header('content-range'), `bytes */${MiB}`)
    gate.open()
    await scene.kept(digest)
    assert.ok((await scene.blob(digest)).body.equals(bytes))
    assert.equal(getsOf(digest), 1)
  })

  test('14. is fetched to its end when its only client leaves at 1 %', async () => {
    const { digest, bytes, gate } = scene.addHeldBlob('left', 2 * MiB, 1 * MiB)
    const client = await scene.openBlob(digest)
    await client.readHead()
    await client.readBytes(20_000)
    client.cut()
    gate.open()
    await scene.kept(digest)
    const next = await scene.blob(digest)
    assert.equal(next.header('x-cache'), 'HIT')
    assert.ok(next.body.equals(bytes))
    assert.equal(getsOf(digest), 1)
  })

  test('10. HEAD asks for its size and fetches nothing', async () => {
    const { digest, bytes } = scene.addBlob('head', 5000)
    const head = await scene.registry.request('HEAD', scene.path('blobs', digest))
    assert.equal(head.status, 200)
    assert.equal(head.header('content-length'), String(bytes.length))
    assert.equal(head.header('docker-content-digest'), digest)
    assert.equal(getsOf(digest), 0)
  })

  test('of an upstream that does not say its size has the one that its manifest says', async () => {
    const image = imageFixture({ layers: 1, layerBytes: 200_000 })
    scene.upstream.content.addImage('unsized', image, 'v1')
    scene.upstream.use(chunked, { on: /unsized\/blobs/ })
    const [layer] = image.blobs.slice(-1)
    assert.ok(layer !== undefined)
    const path = scene.path('blobs', layer.digest, 'unsized')
    // Nobody knows, as long as nobody has asked for the manifest.
    assert.equal((await scene.registry.request('HEAD', path)).status, 502)
    assertError(await scene.registry.request('GET', path), 502, 'UNAVAILABLE')
    const manifest = scene.path('manifests', 'v1', 'unsized')
    assert.equal((await scene.registry.request('GET', manifest)).status, 200)
    for (const cache of ['MISS', 'HIT']) {
      const head = await scene.registry.request('HEAD', path)
      assert.equal(head.status, 200)
      assert.equal(head.header('content-length'), String(layer.bytes.length))
      const reply = await scene.registry.request('GET', path)
      assert.equal(reply.header('content-length'), String(layer.bytes.length))
      assert.equal(reply.header('x-cache'), cache)
      assert.ok(reply.body.equals(layer.bytes))
      await scene.kept(layer.digest)
    }
  })

  test('of no bytes at all is a blob, too', async () => {
    const { digest } = scene.addBlob('empty', 0)
    for (const cache of ['MISS', 'HIT']) {
      const reply = await scene.blob(digest)
      assert.equal(reply.status, 200)
      assert.equal(reply.header('content-length'), '0')
      assert.equal(reply.header('x-cache'), cache)
      await scene.kept(digest)
    }
  })

  test('38. is never encoded, whatever the client accepts', async () => {
    const { digest, bytes } = scene.addBlob('plain', 5000)
    for (const cache of ['MISS', 'HIT']) {
      const reply = await scene.blob(digest, { 'accept-encoding': 'zstd;q=1.0, gzip;q=0.8' })
      assert.equal(reply.header('x-cache'), cache)
      assert.equal(reply.headers['content-encoding'], undefined)
      assert.ok(reply.body.equals(bytes))
      await scene.kept(digest)
    }
    const asked = scene.upstream.requests.filter(({ path }) => path.endsWith(digest))
    assert.deepEqual(
      asked.map(({ headers }) => headers['accept-encoding']),
      ['identity'],
    )
  })
})

/** Part of util-linux; tests run on machines with nothing but Node, too. */
const noPrlimit = spawnSync('prlimit', ['--version']).error !== undefined && 'no prlimit here'

describe('16. a disk that is full', { skip: noPrlimit }, () => {
  const size = 8 * MiB

  /** Files that grow further than this fail as on a full disk. */
  async function limitFiles({ registry }: Scene, bytes: number): Promise<void> {
    await promisify(execFile)('prlimit', ['--pid', String(registry.pid), `--fsize=${bytes}:`])
  }

  test('costs the client nothing: it gets the whole blob, and nothing is kept', async () => {
    await using scene = await startScene()
    const { digest, bytes } = scene.addBlob('disk', size)
    await limitFiles(scene, 3 * MiB)
    const reply = await scene.blob(digest)
    assert.equal(reply.status, 200)
    assert.ok(reply.body.equals(bytes))
    await until('nothing is staged', async () => (await scene.listStaged()).length === 0)
    const part = await scene.blob(digest, { range: `bytes=${4 * MiB}-` })
    assert.equal(part.status, 206)
    assert.ok(part.body.equals(bytes.subarray(4 * MiB)))
    await limitFiles(scene, 2 * size)
    assert.ok((await scene.blob(digest)).body.equals(bytes))
    await scene.kept(digest)
    assert.equal((await scene.blob(digest)).header('x-cache'), 'HIT')
  })

  test('lets no wrong byte through as a whole blob', async () => {
    await using scene = await startScene()
    const { digest } = scene.addBlob('disk', size)
    scene.upstream.use(corrupting(), { on: /blobs/ })
    await limitFiles(scene, 3 * MiB)
    await assert.rejects(scene.blob(digest))
    await until('nothing is staged', async () => (await scene.listStaged()).length === 0)
  })

  test('puts no right bytes behind wrong ones that came before', async () => {
    await using scene = await startScene()
    const { digest, bytes } = scene.addBlob('disk', size)
    const wrong = Buffer.from(bytes)
    wrong.writeUInt8(wrong.readUInt8(1000) ^ 1, 1000)
    const headers = { 'content-type': 'application/octet-stream' }
    scene.upstream.use(() => ({ status: 200, headers, body: wrong }), { on: /blobs/, times: 1 })
    await limitFiles(scene, 3 * MiB)
    await assert.rejects(scene.blob(digest))
    assert.equal(scene.count(/GET .*blobs/), 2)
  })

  test('does not keep a manifest from being pulled', async () => {
    await using scene = await startScene()
    const manifest = largeManifest()
    scene.upstream.content.addManifest('app', manifest, 'v1')
    await limitFiles(scene, MiB)
    const reply = await scene.manifest('v1')
    assert.equal(reply.status, 200, reply.body.toString().slice(0, 500))
    assert.ok(reply.body.equals(manifest.bytes))
  })
})

function largeManifest(): { bytes: Buffer; digest: string; mediaType: string } {
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const annotations = { padding: 'x'.repeat(2 * MiB) }
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType, manifests: [], annotations }),
  )
  return { bytes, digest: sha256Digest(bytes), mediaType }
}
