// A disk that is full, of bytes or of files, under a registry that runs: what cannot be stored is
// refused with 507, nothing of it stays, what was there is served, and with the space the registry
// comes back by itself.

import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { failedStart } from '../support/failed-start.ts'
import {
  assertError,
  type Blob,
  makeBlob,
  ociManifest,
  pushTag,
  startSession,
  withDigest,
} from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'

const MiB = 1 << 20
const repository = 'disk/any'

interface Full extends AsyncDisposable {
  readonly disk: SmallDisk
  readonly registry: Registry
}

async function startOnDisk(t: TestContext, options: string): Promise<Full | undefined> {
  const disk = await mountSmallDisk(t, options)
  if (disk === undefined) return undefined
  try {
    const registry = await startRegistry({ dataDirectory: join(disk.path, 'data') })
    return {
      disk,
      registry,
      [Symbol.asyncDispose]: async () => {
        await registry[Symbol.asyncDispose]()
        disk[Symbol.dispose]()
      },
    }
  } catch (error) {
    disk[Symbol.dispose]()
    throw error
  }
}

function post(registry: Registry, blob: Blob) {
  const path = `/v2/${repository}/blobs/uploads/?digest=${blob.digest}`
  return registry.request('POST', path, { body: blob.bytes })
}

async function assertServed(registry: Registry, blob: Blob, tag: string): Promise<void> {
  const got = await registry.request('GET', `/v2/${repository}/blobs/${blob.digest}`)
  assert.ok(got.body.equals(blob.bytes), `blob: ${got.status}`)
  const manifest = await registry.request('GET', `/v2/${repository}/manifests/${tag}`)
  assert.equal(manifest.status, 200)
  const tags = await registry.request('GET', `/v2/${repository}/tags/list`)
  assert.equal(tags.status, 200)
  assert.equal((await registry.request('GET', '/healthz')).status, 200)
}

function stagedBytes(registry: Registry): number {
  const uploads = join(registry.dataDirectory, 'uploads')
  return readdirSync(uploads).reduce((sum, name) => sum + statSync(join(uploads, name)).size, 0)
}

function isReady(registry: Registry): Promise<true | undefined> {
  return until('it is ready', async () => {
    const { status } = await registry.request('GET', '/readiness')
    return status === 200
  })
}

async function assertNotReady(registry: Registry): Promise<void> {
  const message = await until('it is not ready', async () => {
    const reply = await registry.request('GET', '/readiness')
    return reply.status === 503 && (reply.json() as { message: string }).message
  })
  assert.match(message, /no space left/)
}

describe('a full disk', () => {
  test('refuses every write, serves every read, and is forgotten when there is space', async (t) => {
    await using full = await startOnDisk(t, 'size=24m')
    if (full === undefined) return
    const { disk, registry } = full
    const kept = makeBlob('kept', 2 * MiB)
    await registry.pushBlob(repository, kept)
    const manifest = await pushTag(registry, repository, 'v1')
    await pushTag(registry, repository, 'v2')
    const pushed = makeBlob('pushed in chunks', MiB)
    const location = await startSession(registry, repository)
    const half = pushed.bytes.length / 2
    const first = pushed.bytes.subarray(0, half)
    assert.equal((await registry.request('PATCH', location, { body: first })).status, 202)
    const staged = stagedBytes(registry)

    disk.fill()
    const refused = await post(registry, makeBlob('refused', MiB))
    assertError(refused, 507, 'STORAGE_FULL')
    assert.ok(Number(refused.header('retry-after')) > 0)
    const rest = pushed.bytes.subarray(half)
    assertError(await registry.request('PATCH', location, { body: rest }), 507, 'STORAGE_FULL')
    const session = await registry.request('GET', location)
    assert.equal(session.header('range'), `0-${half - 1}`)
    const body = manifest.bytes
    const headers = { 'content-type': ociManifest }
    const path = `/v2/${repository}/manifests/v3`
    assertError(await registry.request('PUT', path, { body, headers }), 507, 'STORAGE_FULL')
    // Whether the database has a page left for it is not to be known here.
    const deleted = await registry.request('DELETE', `/v2/${repository}/manifests/v2`)
    assert.ok([202, 507].includes(deleted.status), deleted.body.toString())
    assert.equal(stagedBytes(registry), staged)
    await assertServed(registry, kept, 'v1')
    await assertNotReady(registry)

    disk.free()
    await isReady(registry)
    assert.equal((await registry.request('PUT', path, { body, headers })).status, 201)
    assert.equal((await registry.request('PATCH', location, { body: rest })).status, 202)
    const done = await registry.request('PUT', withDigest(location, pushed.digest))
    assert.equal(done.status, 201)
    await registry.restart()
    await assertServed(registry, pushed, 'v3')
  })

  test('gives back what a push took that filled it, and others go on meanwhile', async (t) => {
    await using full = await startOnDisk(t, 'size=24m')
    if (full === undefined) return
    const { disk, registry } = full
    const kept = makeBlob('kept', MiB)
    await registry.pushBlob(repository, kept)
    await pushTag(registry, repository, 'v1')
    const free = disk.freeBytes
    const tooLarge = makeBlob('too large', 40 * MiB)
    const location = await startSession(registry, repository)
    const pushing = [
      post(registry, tooLarge),
      registry.request('PATCH', location, { body: tooLarge.bytes }),
      registry.request('PUT', withDigest(location, tooLarge.digest), { body: tooLarge.bytes }),
    ]
    await assertServed(registry, kept, 'v1')
    for (const reply of await Promise.all(pushing)) assert.ok([507, 416].includes(reply.status))
    assert.ok(disk.freeBytes > free - MiB / 2, `${disk.freeBytes} of ${free} bytes are free`)
    assert.equal((await post(registry, makeBlob('fits', 8 * MiB))).status, 201)
  })

  test('that is full of an upload has space again when that is cancelled', async (t) => {
    await using full = await startOnDisk(t, 'size=24m')
    if (full === undefined) return
    const { disk, registry } = full
    const location = await startSession(registry, repository)
    const { bytes } = makeBlob('cancelled', 8 * MiB)
    assert.equal((await registry.request('PATCH', location, { body: bytes })).status, 202)
    disk.fill()
    const cancelled = await registry.request('DELETE', location)
    assert.equal(cancelled.status, 204, cancelled.body.toString())
    assert.equal(stagedBytes(registry), 0)
    assert.ok(disk.freeBytes > 7 * MiB)
    await isReady(registry)
  })

  test('has no space for the start either, and says so', async (t) => {
    await using full = await startOnDisk(t, 'size=8m')
    if (full === undefined) return
    const { disk, registry } = full
    await registry.stop()
    disk.fill()
    const { code, stderr } = await failedStart(registry.dataDirectory)
    assert.equal(code, 1)
    assert.match(stderr, /^trow: no space is left for data directory .*: free or add some\n$/)
    disk.free()
    await registry.start()
  })
})

test('a disk without room for another file is a full one, too', async (t) => {
  await using full = await startOnDisk(t, 'size=24m,nr_inodes=700')
  if (full === undefined) return
  const { disk, registry } = full
  const kept = makeBlob('kept', 1_000)
  await registry.pushBlob(repository, kept)
  await pushTag(registry, repository, 'v1')
  disk.fillWithFiles()
  assertError(await post(registry, makeBlob('refused', 10)), 507, 'STORAGE_FULL')
  await assertServed(registry, kept, 'v1')
  await assertNotReady(registry)
  disk.free()
  await isReady(registry)
  assert.equal((await post(registry, makeBlob('taken', 10))).status, 201)
})
