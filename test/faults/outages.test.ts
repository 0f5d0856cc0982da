// What operators and disks do to a data directory under a registry that runs: read-only, unwritable,
// gone in part, failing to read and to sync. A clear 503, nothing acknowledged that is not durable,
// earlier content served, and work again without a restart.

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, renameSync, rmdirSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { failCalls, slowCalls } from '../support/failing-calls.ts'
import type { Content } from '../support/image-fixture.ts'
import {
  assertError,
  type Blob,
  makeBlob,
  ociManifest,
  pushTag,
  startSession,
  withDigest,
} from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { mountReadOnly } from '../support/small-disk.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const repository = 'outage/any'
/** More than is kept in memory of what was read before. */
const kept = makeBlob('kept', 12 << 20)

/** Root may write everywhere, unless it gave that right away. */
const wrapper =
  process.geteuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : []

let registry: Registry
let manifest: Content
let round = 0
let fresh: Blob
before(async () => {
  registry = await startRegistry({ wrapper })
  await registry.pushBlob(repository, kept)
  manifest = await pushTag(registry, repository, 'v1')
})
after(() => registry[Symbol.asyncDispose]())
beforeEach(() => {
  round += 1
  fresh = makeBlob(`fresh ${round}`, 10_000)
})

function uploads(): string {
  return join(registry.dataDirectory, 'uploads')
}

/** Where a blob of this digest lies, or would. */
function pathOf(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return join(registry.dataDirectory, 'blobs', algorithm, hex.slice(0, 2), hex)
}

function post(blob: Blob): Promise<Reply> {
  const path = `/v2/${repository}/blobs/uploads/?digest=${blob.digest}`
  return registry.request('POST', path, { body: blob.bytes })
}

function putManifest(tag: string): Promise<Reply> {
  const headers = { 'content-type': ociManifest }
  const path = `/v2/${repository}/manifests/${tag}`
  return registry.request('PUT', path, { body: manifest.bytes, headers })
}

async function assertServed(): Promise<void> {
  const got = await registry.request('GET', `/v2/${repository}/blobs/${kept.digest}`)
  assert.ok(got.body.equals(kept.bytes), `blob: ${got.status}`)
  const tag = await registry.request('GET', `/v2/${repository}/manifests/v1`)
  assert.ok(tag.body.equals(manifest.bytes), `manifest: ${tag.status}`)
  assert.equal((await registry.request('GET', `/v2/${repository}/tags/list`)).status, 200)
  assert.equal((await registry.request('GET', '/healthz')).status, 200)
}

function assertUnavailable(reply: Reply, message: RegExp): void {
  assertError(reply, 503, 'UNAVAILABLE')
  assert.match(reply.body.toString(), message)
  assert.ok(Number(reply.header('retry-after')) > 0)
}

async function assertReadiness(status: number, message = /./): Promise<void> {
  const reply = await until(`readiness is ${status}`, async () => {
    const probe = await registry.request('GET', '/readiness')
    return probe.status === status && probe
  })
  assert.match(reply.body.toString(), message)
}

/** Nothing of what was refused is visible, and all works again. */
async function assertRecovered(): Promise<void> {
  await assertReadiness(200)
  await assertServed()
  const head = await registry.request('HEAD', `/v2/${repository}/blobs/${fresh.digest}`)
  assert.equal(head.status, 404)
  assert.equal((await post(fresh)).status, 201)
  assert.equal((await putManifest(`after-${round}`)).status, 201)
  assert.deepEqual(await readdir(uploads()), [])
}

describe('a volume that turns read-only', () => {
  test('refuses pushes, serves pulls, and takes pushes again', async (t) => {
    {
      using readOnly = mountReadOnly(t, uploads())
      if (readOnly === undefined) return
      assertUnavailable(await post(fresh), /file system is read-only/)
      assertUnavailable(await putManifest('v2'), /file system is read-only/)
      await assertReadiness(503, /storage: .*read-only/)
      await assertServed()
    }
    await assertRecovered()
  })
})

describe('a directory that may not be written', () => {
  test('of staged bytes: pushes are refused', async () => {
    chmodSync(uploads(), 0o500)
    assertUnavailable(await post(fresh), /lacks the permission/)
    assertUnavailable(await putManifest('v2'), /lacks the permission/)
    await assertReadiness(503, /storage: .*permission/)
    await assertServed()
    chmodSync(uploads(), 0o755)
    await assertRecovered()
  })

  test('of one part of the blobs: only what belongs there is refused', async () => {
    const directory = dirname(pathOf(fresh.digest))
    chmodSync(directory, 0o500)
    assertUnavailable(await post(fresh), /lacks the permission/)
    await assertServed()
    assert.equal((await putManifest(`part-${round}`)).status, 201)
    chmodSync(directory, 0o755)
    await assertRecovered()
  })

  test('that turns so in the middle of an upload: it goes on where it was', async () => {
    const directory = dirname(pathOf(fresh.digest))
    const location = await startSession(registry, repository)
    const target = withDigest(location, fresh.digest)
    using connection = await RawConnection.open(registry.url)
    const length = String(fresh.bytes.length)
    connection.writeHead('PUT', target, { 'Content-Length': length, Expect: '100-continue' })
    assert.equal((await connection.readHead()).status, 100)
    connection.write(fresh.bytes.subarray(0, 5_000))
    await connection.flushed()
    chmodSync(directory, 0o500)
    connection.write(fresh.bytes.subarray(5_000))
    assertUnavailable(await connection.readReply(), /lacks the permission/)
    chmodSync(directory, 0o755)
    const again = await registry.request('PUT', target, { body: fresh.bytes })
    assert.equal(again.status, 201, again.body.toString())
  })

  test('with blobs in it that may not be read: those are 503, the others are served', async () => {
    const locked = makeBlob('locked', 1_000)
    await registry.pushBlob(repository, locked)
    const path = `/v2/${repository}/blobs/${locked.digest}`
    chmodSync(pathOf(locked.digest), 0)
    assertUnavailable(await registry.request('GET', path), /lacks the permission/)
    await assertServed()
    chmodSync(pathOf(locked.digest), 0o644)
    assert.ok((await registry.request('GET', path)).body.equals(locked.bytes))
  })
})

describe('a directory that is gone', () => {
  for (const name of ['uploads', 'part of blobs'] as const) {
    test(`${name}: pushes into it are refused until it is back`, async () => {
      const directory = name === 'uploads' ? uploads() : dirname(pathOf(fresh.digest))
      renameSync(directory, `${directory}.away`)
      assertUnavailable(await post(fresh), /a directory of its data directory is missing/)
      assert.equal((await registry.request('GET', '/healthz')).status, 200)
      mkdirSync(directory)
      assert.equal((await post(fresh)).status, 201)
      renameSync(pathOf(fresh.digest), `${pathOf(fresh.digest)}.away`)
      const path = `/v2/${repository}/blobs/${fresh.digest}`
      // Its bytes are lost: a client that asks is told to push it, and heals it.
      assert.equal((await registry.request('HEAD', path)).status, 404)
      assert.equal((await post(fresh)).status, 201)
      assert.ok((await registry.request('GET', path)).body.equals(fresh.bytes))
      if (name === 'uploads') rmdirSync(`${directory}.away`)
    })
  }
})

describe('a disk that fails', () => {
  test('to sync a chunk: it is not acknowledged, and is sent again', async (t) => {
    const location = await startSession(registry, repository)
    const staged = join(uploads(), location.split('/').at(-1) ?? '')
    const first = fresh.bytes.subarray(0, 4_000)
    assert.equal((await registry.request('PATCH', location, { body: first })).status, 202)
    const rest = { body: fresh.bytes.subarray(4_000) }
    {
      const broken = { calls: 'fdatasync,fsync', error: 'EIO', paths: [staged] }
      await using failing = await failCalls(t, registry.pid, broken)
      if (failing === undefined) return
      assertUnavailable(await registry.request('PATCH', location, rest), /disk reports an error/)
      const session = await registry.request('GET', location)
      assert.equal(session.header('range'), '0-3999')
      await assertServed()
    }
    assert.equal((await registry.request('PATCH', location, rest)).status, 202)
    const done = await registry.request('PUT', withDigest(location, fresh.digest))
    assert.equal(done.status, 201)
    const got = await registry.request('GET', done.header('location'))
    assert.ok(got.body.equals(fresh.bytes))
  })

  test('to sync a name: the blob is not acknowledged', async (t) => {
    {
      const paths = [dirname(pathOf(fresh.digest))]
      const broken = { calls: 'fdatasync,fsync', error: 'EIO', paths }
      await using failing = await failCalls(t, registry.pid, broken)
      if (failing === undefined) return
      assertUnavailable(await post(fresh), /disk reports an error/)
      await assertServed()
    }
    await assertRecovered()
  })

  test('to sync the database: neither blob nor tag is acknowledged', async (t) => {
    {
      const paths = [join(registry.dataDirectory, 'metadata.db-wal')]
      const broken = { calls: 'fdatasync,fsync', error: 'EIO', paths }
      await using failing = await failCalls(t, registry.pid, broken)
      if (failing === undefined) return
      assertUnavailable(await post(fresh), /disk reports an error/)
      assertUnavailable(await putManifest('unsynced'), /disk reports an error/)
      const removal = await registry.request('DELETE', `/v2/${repository}/manifests/v1`)
      assertUnavailable(removal, /disk reports an error/)
      assert.equal((await registry.request('GET', '/healthz')).status, 200)
      await assertReadiness(503, /database: .*disk reports an error/)
    }
    // What was refused may have been done; what is acknowledged from now on must last.
    await assertReadiness(200)
    assert.equal((await putManifest('v1')).status, 201)
    await registry.request('DELETE', `/v2/${repository}/blobs/${fresh.digest}`)
    await assertRecovered()
    await registry.kill()
    await registry.restart()
    await assertServed()
  })

  test('to sync the database fast: who only reads waits for nobody, who writes waits together', async (t) => {
    const paths = [join(registry.dataDirectory, 'metadata.db-wal')]
    await using slow = await slowCalls(t, registry.pid, {
      calls: 'fdatasync,fsync',
      delayMs: 1_000,
      paths,
    })
    if (slow === undefined) return
    const settled: string[] = []
    const puts = Array.from({ length: 8 }, async (_, index) => {
      assert.equal((await putManifest(`slow-${index}`)).status, 201)
      settled.push('put')
    })
    const reads = [registry.request('GET', `/v2/${repository}/manifests/v1`), assertServed()]
    await Promise.all(reads).then(() => settled.push('reads'))
    await Promise.all(puts)
    assert.deepEqual(settled, ['reads', ...puts.map(() => 'put')])
    const syncs = await slow.count()
    assert.ok(syncs < puts.length / 2, `${syncs} syncs for ${puts.length} manifests`)
  })

  test('to sync the database: a chunk is acknowledged, and its blob is not', async (t) => {
    const location = await startSession(registry, repository)
    const put = () => registry.request('PUT', withDigest(location, fresh.digest))
    {
      const paths = [join(registry.dataDirectory, 'metadata.db-wal')]
      const broken = { calls: 'fdatasync,fsync', error: 'EIO', paths }
      await using failing = await failCalls(t, registry.pid, broken)
      if (failing === undefined) return
      const patch = await registry.request('PATCH', location, { body: fresh.bytes })
      assert.equal(patch.status, 202)
      assertUnavailable(await put(), /disk reports an error/)
    }
    await assertReadiness(200)
    await registry.request('DELETE', location)
    await registry.request('DELETE', `/v2/${repository}/blobs/${fresh.digest}`)
    await assertRecovered()
  })

  test('to write: nothing of the push stays', async (t) => {
    const location = await startSession(registry, repository)
    const staged = join(uploads(), location.split('/').at(-1) ?? '')
    {
      const broken = { calls: 'write,pwrite64,writev,pwritev', error: 'EIO', paths: [staged] }
      await using failing = await failCalls(t, registry.pid, broken)
      if (failing === undefined) return
      const put = await registry.request('PUT', withDigest(location, fresh.digest), {
        body: fresh.bytes,
      })
      assertUnavailable(put, /disk reports an error/)
      await assertServed()
    }
    assert.equal((await registry.request('DELETE', location)).status, 204)
    await assertRecovered()
  })

  test('because a quota is used up is a full one', async (t) => {
    const location = await startSession(registry, repository)
    const staged = join(uploads(), location.split('/').at(-1) ?? '')
    {
      const broken = { calls: 'write,pwrite64,writev,pwritev', error: 'EDQUOT', paths: [staged] }
      await using failing = await failCalls(t, registry.pid, broken)
      if (failing === undefined) return
      const chunk = await registry.request('PATCH', location, { body: fresh.bytes })
      assertError(chunk, 507, 'STORAGE_FULL')
      await assertServed()
    }
    assert.equal((await registry.request('PATCH', location, { body: fresh.bytes })).status, 202)
    assert.equal((await registry.request('DELETE', location)).status, 204)
    await assertRecovered()
  })

  test('to read: blobs and manifests are 503 and not half of themselves', async (t) => {
    const paths = [pathOf(kept.digest), pathOf(manifest.digest)]
    await pushTag(registry, repository, 'v2')
    {
      const broken = { calls: 'read,pread64,readv,preadv', error: 'EIO', paths }
      await using failing = await failCalls(t, registry.pid, broken)
      if (failing === undefined) return
      const blob = await registry.request('GET', `/v2/${repository}/blobs/${kept.digest}`)
      assertUnavailable(blob, /disk reports an error/)
      const read = await registry.request('GET', `/v2/${repository}/manifests/v1`)
      assertUnavailable(read, /disk reports an error/)
      assert.equal((await registry.request('GET', `/v2/${repository}/manifests/v2`)).status, 200)
    }
    await assertServed()
  })

  test('to rename: the push is not acknowledged', async (t) => {
    {
      const broken = { calls: 'rename,renameat,renameat2', error: 'EIO' }
      await using failing = await failCalls(t, registry.pid, broken)
      if (failing === undefined) return
      assertUnavailable(await post(fresh), /disk reports an error/)
      assertUnavailable(await putManifest('renamed'), /disk reports an error/)
      await assertServed()
    }
    await assertRecovered()
  })
})

test('through all of it there was no error that is not one of these', () => {
  const unknown = registry.logs().filter(({ msg }) => msg === 'request failed')
  assert.deepEqual(unknown, [])
})
