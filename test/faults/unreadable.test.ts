// A disk that reports an error in the middle of a download: the connection breaks off, the log and a metric
// tell it, and nothing that was pushed is taken away for it, as the disk may give it another time. What
// another registry has as well is put aside if it cannot be read a second time, and fetched again.

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { type TestContext, test } from 'node:test'
import type { Digest } from '../../src/oci/digest.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { failCalls } from '../support/failing-calls.ts'
import { startScene } from '../support/pull-through.ts'
import { makeBlob } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { runTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

/** More than sockets and buffers hold, so that most of it is read after the disk broke. */
const blobBytes = 48 << 20

function layoutOf(registry: Registry): DataLayout {
  return new DataLayout(registry.dataDirectory)
}

function breakDisk(t: TestContext, registry: Registry, digest: string) {
  const calls = 'read,pread64,readv,preadv'
  const paths = [layoutOf(registry).blob(digest as Digest)]
  return failCalls(t, registry.pid, { calls, error: 'EIO', paths })
}

/** A download that has begun when the disk breaks. @returns false when the test is to be skipped. */
async function pullOnBreakingDisk(
  t: TestContext,
  registry: Registry,
  { path, digest }: { readonly path: string; readonly digest: string },
): Promise<boolean> {
  const connection = await RawConnection.open(registry.url)
  connection.writeHead('GET', path)
  assert.equal((await connection.readHead()).status, 200)
  await connection.readBytes(1000)
  await using broken = await breakDisk(t, registry, digest)
  if (broken === undefined) return false
  const rest = await connection.readToEnd().catch(() => Buffer.of())
  assert.ok(rest.length < blobBytes - 1000, 'it breaks off')
  const line = await registry.logged(({ msg }) => msg.includes('cannot be read: '))
  assert.equal(line['digest'], digest)
  const metrics = (await registry.request('GET', '/metrics')).body.toString()
  assert.match(metrics, /trow_content_damaged_total\{found="serving"\} [1-9]/)
  return true
}

for (const verify of [true, false]) {
  test(`what was pushed stays, read for the first time: ${verify}`, async (t) => {
    const config = JSON.stringify({ storage: { verify_reads: verify } })
    await using registry = await startRegistry({ config })
    const blob = makeBlob('pushed', blobBytes)
    await registry.pushBlob('app', blob)
    const path = `/v2/app/blobs/${blob.digest}`
    if (!(await pullOnBreakingDisk(t, registry, { path, digest: blob.digest }))) return
    {
      await using broken = await breakDisk(t, registry, blob.digest)
      if (broken === undefined) return
      const scrubbed = await runTrow(['scrub', registry.url, '--repair'])
      assert.equal(scrubbed.code, 1)
      assert.match(
        scrubbed.stdout,
        /unreadable: .* \(app\): .* disk reports an error; look at the disk/,
      )
    }
    assert.deepEqual(await readdir(layoutOf(registry).quarantine), [])
    const got = await registry.request('GET', path)
    assert.ok(got.body.equals(blob.bytes))
    assert.equal((await runTrow(['scrub', registry.url])).code, 0)
  })
}

test('what another registry has is put aside and fetched again', async (t) => {
  await using scene = await startScene()
  const { registry } = scene
  const { digest, bytes } = scene.addBlob('cached', blobBytes)
  const path = scene.path('blobs', digest)
  assert.ok((await scene.blob(digest)).body.equals(bytes))
  await scene.kept(digest)
  if (!(await pullOnBreakingDisk(t, registry, { path, digest }))) return
  assert.deepEqual(await readdir(layoutOf(registry).quarantine), [digest.replace(':', '-')])
  const again = await scene.blob(digest)
  assert.equal(again.header('x-cache'), 'MISS')
  assert.ok(again.body.equals(bytes))
})

test('what was pushed as well stays, and a scrub leaves it', async (t) => {
  await using scene = await startScene()
  const { registry } = scene
  const { digest, bytes } = scene.addBlob('both', blobBytes)
  assert.ok((await scene.blob(digest)).body.equals(bytes))
  await scene.kept(digest)
  await registry.pushBlob('mine', { digest, bytes })
  if (!(await pullOnBreakingDisk(t, registry, { path: scene.path('blobs', digest), digest })))
    return
  assert.deepEqual(await readdir(layoutOf(registry).quarantine), [])
  assert.ok((await registry.request('GET', `/v2/mine/blobs/${digest}`)).body.equals(bytes))
})
