/**
 * Upstreams that break off, lie or refuse while a blob is fetched, and a registry that is killed
 * meanwhile: no client ever gets a whole body of wrong bytes, and nothing wrong is kept.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  answering,
  corrupting,
  cutting,
  failing,
  Gate,
  holding,
} from '../support/fake-upstream-behaviours.ts'
import type { Behaviour } from '../support/fake-upstream.ts'
import { inTurn, messageOf, type Scene, startScene } from '../support/pull-through.ts'
import { assertError, makeBlob } from '../support/push-steps.ts'
import { until } from '../support/until.ts'

const MiB = 1024 * 1024
const size = 2 * MiB
const { digest, bytes } = makeBlob('layer', size)
const heldBackBytes = 64 * 1024

async function startWithBlob(): Promise<Scene> {
  const scene = await startScene()
  scene.upstream.content.addBlob('app', bytes)
  return scene
}

function rangesAsked({ upstream }: Scene): (string | undefined)[] {
  return upstream.requests
    .filter(({ path, method }) => method === 'GET' && path.includes('/blobs/'))
    .map(({ headers }) => headers.range)
}

/** Bytes of the body that came before the connection broke. */
async function readUntilBroken(scene: Scene): Promise<number> {
  using client = await scene.openBlob(digest)
  assert.equal((await client.readHead()).status, 200)
  return (await client.readToEnd()).length
}

describe('a transfer that breaks', () => {
  test('10. goes on from where it was, and the client notices nothing', async () => {
    await using scene = await startWithBlob()
    scene.upstream.use(cutting(size / 2), { on: /GET .*blobs/, times: 1 })
    const reply = await scene.blob(digest)
    assert.equal(reply.status, 200)
    assert.ok(reply.body.equals(bytes))
    const [first, second, ...more] = rangesAsked(scene)
    assert.equal(first, undefined)
    assert.match(second ?? '', /^bytes=[1-9]\d*-$/)
    assert.deepEqual(more, [])
    await scene.kept(digest)
    assert.equal((await scene.blob(digest)).header('x-cache'), 'HIT')
  })

  test('10. goes on time and again, as long as each part brings something', async () => {
    await using scene = await startWithBlob()
    scene.upstream.use(cutting(size / 8), { on: /GET .*blobs/ })
    assert.ok((await scene.blob(digest)).body.equals(bytes))
    assert.ok(rangesAsked(scene).length >= 8)
  })

  test('10. goes on after the upstream refused for a moment', async () => {
    await using scene = await startWithBlob()
    // Both tries of one request: what is under way has to bear that, and not only its retries.
    const script = inTurn(cutting(size / 2), failing(503), failing(503))
    scene.upstream.use(script, { on: /GET .*blobs/ })
    assert.ok((await scene.blob(digest)).body.equals(bytes))
  })

  test('10. goes on after the upstream was gone for a moment, and many others with it', async () => {
    await using scene = await startScene()
    const blobs = Array.from({ length: 8 }, (_, index) => scene.addBlob(`of ${index}`, size))
    const gate = new Gate()
    scene.upstream.use(holding(gate, size / 2), { on: /GET .*blobs/, times: blobs.length })
    scene.upstream.use(cutting(size / 2), { on: /GET .*blobs/, times: blobs.length })
    const replies = blobs.map((blob) => scene.blob(blob.digest))
    await until('all are on their way', () => rangesAsked(scene).length === blobs.length)
    let isGone = true
    const cut = cutting()
    scene.upstream.use((request, next) => (isGone ? cut(request, next) : next()))
    gate.open()
    // Both tries of each, of which no one succeeds before all have failed.
    await until('all have failed', () => rangesAsked(scene).length === 3 * blobs.length)
    await scene.registry.logged(({ msg }) => msg.startsWith('the upstream fails'))
    isGone = false
    for (const [index, reply] of (await Promise.all(replies)).entries()) {
      assert.ok(reply.body.equals(blobs[index]?.bytes ?? Buffer.alloc(0)))
    }
  })

  test('11. goes on at an upstream that ignores ranges', async () => {
    await using scene = await startWithBlob()
    const headers = { 'content-type': 'application/octet-stream' }
    scene.upstream.use(() => ({ status: 200, headers, body: bytes }), { on: /GET .*blobs/ })
    scene.upstream.use(cutting(size / 2), { on: /GET .*blobs/, times: 1 })
    const reply = await scene.blob(digest)
    assert.ok(reply.body.equals(bytes))
    assert.equal(rangesAsked(scene).length, 2)
  })

  test('11. ends when the blob is said to be of another size than before', async () => {
    await using scene = await startWithBlob()
    const headers = { 'content-type': 'application/octet-stream' }
    const longer = Buffer.concat([bytes, Buffer.from('x')])
    const script = inTurn(cutting(size / 2), () => ({ status: 200, headers, body: longer }))
    scene.upstream.use(script, { on: /GET .*blobs/ })
    await assert.rejects(scene.blob(digest))
    await until('nothing is staged', async () => (await scene.listStaged()).length === 0)
  })

  test('11. ends when the rest is of something else', async () => {
    await using scene = await startWithBlob()
    const other = makeBlob('other', size / 2).bytes
    const headers = { 'content-type': 'application/octet-stream' }
    scene.upstream.use(() => ({ status: 200, headers, body: other }), { on: /GET .*blobs/ })
    scene.upstream.use(cutting(size / 2), { on: /GET .*blobs/, times: 1 })
    await assert.rejects(scene.blob(digest))
    await until('nothing is staged', async () => (await scene.listStaged()).length === 0)
  })
})

describe('12. wrong bytes', () => {
  test('never reach a client as a whole body, are not kept, and are fetched again', async () => {
    await using scene = await startWithBlob()
    scene.upstream.use(corrupting(), { on: /GET .*blobs/, times: 1 })
    const read = await readUntilBroken(scene)
    assert.ok(read <= size - heldBackBytes, `${read} of ${size} bytes`)
    await until('nothing is staged', async () => (await scene.listStaged()).length === 0)
    const next = await scene.blob(digest)
    assert.equal(next.header('x-cache'), 'MISS')
    assert.ok(next.body.equals(bytes))
    assert.equal(rangesAsked(scene).length, 2)
  })

  test('of a small blob do not reach it at all', async () => {
    await using scene = await startWithBlob()
    const small = makeBlob('small', 1000)
    scene.upstream.content.addBlob('app', small.bytes)
    scene.upstream.use(corrupting(), { on: /GET .*blobs/, times: 1 })
    using client = await scene.openBlob(small.digest)
    await client.readHead()
    await assert.rejects(client.readBytes(1))
    assert.ok((await scene.blob(small.digest)).body.equals(small.bytes))
  })

  test('of no bytes at all are no blob of no bytes', async () => {
    await using scene = await startWithBlob()
    const nothing = answering(200, 'application/octet-stream', '')
    scene.upstream.use(nothing, { on: /GET .*blobs/, times: 1 })
    assertError(await scene.blob(digest), 502, 'UNAVAILABLE')
    assert.ok((await scene.blob(digest)).body.equals(bytes))
  })

  test('too few or too many of them are wrong bytes, too', async () => {
    await using scene = await startWithBlob()
    for (const length of [size - 1, size + 1]) {
      scene.upstream.use(announcing(length), { on: /GET .*blobs/, times: 1 })
      await assert.rejects(scene.blob(digest), `announced as ${length} bytes`)
    }
    assert.ok((await scene.blob(digest)).body.equals(bytes))
  })
})

/** Says that there are so many bytes, sends what it has of them, and ends the connection. */
function announcing(length: number): Behaviour {
  return async (_, next) => {
    const answer = await next()
    const headers = { ...answer.headers, 'content-length': String(length) }
    return { ...answer, headers, cutAfterBytes: Math.min(length, size) }
  }
}

describe('13. an upstream that refuses before the first byte', () => {
  const refusals: [name: string, behaviour: ReturnType<typeof failing>, expected: number][] = [
    ['404', failing(404, 'BLOB_UNKNOWN'), 404],
    ['403', failing(403, 'DENIED'), 404],
    ['500', failing(500), 502],
    ['503', failing(503), 502],
    ['a web page', answering(200, 'text/html', '<html>log in here</html>'), 502],
    ['a cut connection', cutting(), 502],
  ]
  for (const [name, behaviour, status] of refusals) {
    test(`${name} is ${status} for the client, with the host that failed`, async () => {
      await using scene = await startWithBlob()
      scene.upstream.use(behaviour, { on: /blobs/ })
      const reply = await scene.blob(digest)
      assertError(reply, status, status === 404 ? 'BLOB_UNKNOWN' : 'UNAVAILABLE')
      const { detail } = messageOf(reply)
      assert.equal((detail as { upstream: string }).upstream, scene.upstream.host)
      assert.doesNotMatch(reply.body.toString(), /<html>/)
      assert.deepEqual(await scene.listStaged(), [])
    })
  }
})

describe('15. a registry that ends while a blob is on its way', () => {
  test('killed: what it left is removed at the next start, and the blob comes anew', async () => {
    await using scene = await startScene()
    const held = scene.addHeldBlob('held', size, size / 2)
    const client = await scene.openBlob(held.digest)
    await client.readHead()
    await client.readBytes(1000)
    assert.equal((await scene.listStaged()).length, 1)
    await scene.registry.kill()
    client[Symbol.dispose]()
    assert.equal((await scene.listStaged()).length, 1)
    held.gate.open()
    await scene.registry.restart()
    assert.deepEqual(await scene.listStaged(), [])
    const reply = await scene.blob(held.digest)
    assert.equal(reply.header('x-cache'), 'MISS')
    assert.ok(reply.body.equals(held.bytes))
  })

  test('asked to stop: it does not wait for what no client waits for', async () => {
    await using scene = await startScene()
    const held = scene.addHeldBlob('held', size, size / 2)
    const client = await scene.openBlob(held.digest)
    await client.readHead()
    client.cut()
    await scene.registry.stop()
    assert.deepEqual(await scene.listStaged(), [])
    held.gate.open()
  })
})
