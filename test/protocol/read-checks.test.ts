// A file of the right size with other bytes: nobody gets all of it, it is put aside, and what comes after
// that is as if it had been lost.

import assert from 'node:assert/strict'
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import type { Digest } from '../../src/oci/digest.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import type { Reply } from '../support/http-client.ts'
import { type ImageFixture, imageFixture } from '../support/image-fixture.ts'
import { startScene } from '../support/pull-through.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const MiB = 1024 * 1024

interface Pushed {
  readonly digest: string
  readonly bytes: Buffer
}

async function flipBit(dataDirectory: string, digest: string): Promise<void> {
  const path = new DataLayout(dataDirectory).blob(digest as Digest)
  const bytes = await readFile(path)
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1)
  await writeFile(path, bytes)
}

/** An error, or a body that breaks off where its first bytes were sent already. */
async function assertNotServed(registry: Registry, path: string, headers = {}): Promise<void> {
  const reply = await registry.request('GET', path, { headers }).catch((error: unknown) => error)
  if (reply instanceof Error) {
    assert.match(String(reply), /aborted|hang up|ECONNRESET/)
    return
  }
  assertRefused(reply as Reply)
}

function assertRefused({ status, body }: Reply): void {
  assert.equal(status, 503, 'no client may take the body for complete')
  assert.match(body.toString(), /UNAVAILABLE.*the bytes of the blob are damaged/)
}

/** As above, by several at once: who comes when another one has had it put aside finds nothing. */
async function assertServedToNone(registry: Registry, path: string): Promise<void> {
  const asking = Array.from({ length: 4 }, () => registry.request('GET', path))
  const replies = (await Promise.allSettled(asking)).flatMap((result) =>
    result.status === 'fulfilled' ? [result.value] : [],
  )
  const late = replies.filter(({ status }) => status === 404)
  assert.ok(late.length < asking.length)
  for (const { body } of late) assert.match(body.toString(), /BLOB_UNKNOWN/)
  for (const reply of replies) if (!late.includes(reply)) assertRefused(reply)
}

function largest({ blobs }: ImageFixture): Pushed {
  const [blob] = blobs.toSorted((a, b) => b.bytes.length - a.bytes.length)
  assert.ok(blob)
  return blob
}

async function quarantined({ dataDirectory }: Registry): Promise<string[]> {
  return await readdir(new DataLayout(dataDirectory).quarantine)
}

/** Restarted, as nothing is known then of the bytes that were pushed. */
async function withRottenBlob(
  options: { layerBytes: number; config?: string },
  work: (registry: Registry, blob: Pushed) => Promise<void>,
): Promise<void> {
  const { layerBytes, ...started } = options
  const image = imageFixture({ seed: 70, layers: 1, layerBytes })
  await using registry = await startRegistry(started)
  await registry.push('app', 'v1', image)
  const blob = largest(image)
  await flipBit(registry.dataDirectory, blob.digest)
  await work(registry, blob)
}

for (const layerBytes of [20_000, 5 * MiB]) {
  describe(`a rotten blob of ${layerBytes} bytes`, () => {
    test('reaches nobody as a whole, is put aside, and a push heals it', () =>
      withRottenBlob({ layerBytes }, async (registry, { digest, bytes }) => {
        const path = `/v2/app/blobs/${digest}`
        await assertServedToNone(registry, path)
        assert.deepEqual(await quarantined(registry), [digest.replace(':', '-')])
        // Who came late may have told that there is nothing, before that.
        const line = await registry.logged(({ msg }) => msg.includes('another digest'))
        assert.match(line.msg, /are damaged: .*; push the image again to repair it/)
        const metrics = (await registry.request('GET', '/metrics')).body.toString()
        assert.match(metrics, /trow_content_damaged_total\{found="serving"\} [1-9]/)
        assert.equal((await registry.request('HEAD', path)).status, 404)
        assert.equal((await registry.request('GET', path)).status, 404)
        await registry.pushBlob('app', { digest, bytes })
        const healed = await registry.request('GET', path)
        assert.ok(healed.body.equals(bytes))
      }))

    test('is found by a client that reads a part of it, which may be right', () =>
      withRottenBlob({ layerBytes }, async (registry, { digest, bytes }) => {
        const path = `/v2/app/blobs/${digest}`
        const part = await registry.request('GET', path, { headers: { range: 'bytes=0-99' } })
        assert.ok(part.body.equals(bytes.subarray(0, 100)))
        await until('it is put aside', async () => (await quarantined(registry)).length === 1)
        assert.equal((await registry.request('GET', path)).status, 404)
      }))

    test('ends a pull that was resumed, before its last byte', () =>
      withRottenBlob({ layerBytes }, async (registry, { digest }) => {
        const headers = { range: `bytes=${layerBytes - 100}-` }
        await assertNotServed(registry, `/v2/app/blobs/${digest}`, headers)
      }))
  })
}

test('a rotten blob is served as it is where storage.verify_reads is false', () =>
  withRottenBlob(
    { layerBytes: 20_000, config: 'storage: { verify_reads: false }' },
    async (registry, { digest, bytes }) => {
      const served = await registry.request('GET', `/v2/app/blobs/${digest}`)
      assert.equal(served.status, 200)
      assert.ok(!served.body.equals(bytes))
    },
  ))

test('a rotten blob of another registry is fetched again', async () => {
  await using scene = await startScene()
  const { digest, bytes } = scene.addBlob('rotten', 3 * MiB)
  assert.ok((await scene.blob(digest)).body.equals(bytes))
  await scene.kept(digest)
  await flipBit(scene.registry.dataDirectory, digest)
  await assert.rejects(scene.blob(digest), 'the connection breaks')
  const again = await scene.blob(digest)
  assert.equal(again.header('x-cache'), 'MISS')
  assert.ok(again.body.equals(bytes))
  const isCached = async (): Promise<boolean> =>
    (await scene.blob(digest)).header('x-cache') === 'HIT'
  await until('it is cached again', isCached)
})

async function damagedCount(registry: Registry): Promise<number> {
  const metrics = (await registry.request('GET', '/metrics')).body.toString()
  return Number(/trow_content_damaged_total\{found="serving"\} (\d+)/.exec(metrics)?.[1])
}

test('a rotten manifest is told, counted, put aside, and healed by a push', async () => {
  const image = imageFixture({ seed: 71 })
  const { digest } = image.root
  await using registry = await startRegistry()
  await registry.push('app', 'v1', image)
  await registry.restart()
  await flipBit(registry.dataDirectory, digest)
  assert.equal((await registry.request('GET', '/v2/app/manifests/v1')).status, 404)
  const line = await registry.logged(({ msg }) => msg.includes('are damaged'))
  assert.match(line.msg, /a manifest are damaged: .* found others; push the image again/)
  assert.equal(await damagedCount(registry), 1)
  assert.deepEqual(await quarantined(registry), [digest.replace(':', '-')])
  await registry.push('app', 'v1', image)
  const healed = await registry.request('GET', '/v2/app/manifests/v1')
  assert.equal(healed.headers['docker-content-digest'], digest)
})

test('a blob of another registry whose file is gone is told, counted and fetched again', async () => {
  await using scene = await startScene()
  const { digest, bytes } = scene.addBlob('gone', 20_000)
  assert.ok((await scene.blob(digest)).body.equals(bytes))
  await scene.kept(digest)
  await rm(new DataLayout(scene.registry.dataDirectory).blob(digest as Digest))
  const again = await scene.blob(digest)
  assert.equal(again.header('x-cache'), 'MISS')
  assert.ok(again.body.equals(bytes))
  const line = await scene.registry.logged(({ msg }) => msg.includes('are damaged'))
  assert.match(
    line.msg,
    /a blob are damaged: expected 20000 bytes, found nothing; it is fetched again/,
  )
  assert.equal(await damagedCount(scene.registry), 1)
})

test('a damaged blob of another registry is fetched again though it cannot be put aside', async () => {
  await using scene = await startScene()
  const { digest, bytes } = scene.addBlob('cut', 20_000)
  assert.ok((await scene.blob(digest)).body.equals(bytes))
  await scene.kept(digest)
  const layout = new DataLayout(scene.registry.dataDirectory)
  await truncate(layout.blob(digest as Digest), 10_000)
  await rm(layout.quarantine, { recursive: true })
  await writeFile(layout.quarantine, 'in its place')
  const again = await scene.blob(digest)
  assert.ok(again.body.equals(bytes))
  const line = await scene.registry.logged(({ msg }) => msg.includes('found 10000 bytes'))
  assert.equal(line['quarantined'], false)
})
