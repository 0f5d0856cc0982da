/**
 * "When the disk fills up" of `docs/operations.md`, each of its steps as it stands there, on small disks:
 * with `storage.min_free`, and full to the last byte.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { addImage, cacheImage } from '../support/cached-images.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { configure, proxyConfig, startScene } from '../support/pull-through.ts'
import { assertError, makeBlob, startSession } from '../support/push-steps.ts'
import { runTrow } from '../support/run-command.ts'
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const MB = 1_000_000
const image = (seed: number) => imageFixture({ seed, layers: 1, layerBytes: 4 * MB })

async function trow(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runTrow(args)
  assert.equal(code, 0, stdout + stderr)
  return stdout
}

function pushMore(registry: Registry, seed: string) {
  const blob = makeBlob(seed, 3 * MB)
  const path = `/v2/more/blobs/uploads/?digest=${blob.digest}`
  return registry.request('POST', path, { body: blob.bytes })
}

async function assertPulled(registry: Registry, repository: string, tag: string): Promise<void> {
  const reply = await registry.request('GET', `/v2/${repository}/manifests/${tag}`)
  assert.equal(reply.status, 200, `${repository}:${tag}`)
}

/** Has pushes refused, and pulls not. */
async function fill(registry: Registry, disk: SmallDisk): Promise<void> {
  await until('a push is refused', async () => {
    const reply = await pushMore(registry, `filling ${disk.freeBytes}`)
    if (reply.status === 201) return false
    assertError(reply, 507, 'STORAGE_FULL')
    return true
  })
}

test('with storage.min_free: what gets room, step by step', async (t) => {
  using disk = await mountSmallDisk(t, 'size=60m')
  if (disk === undefined) return
  const dataDirectory = join(disk.path, 'data')
  await using scene = await startScene({ registry: { dataDirectory } })
  const { registry, host } = scene
  const proxies = JSON.parse(proxyConfig([{ host, insecure: true }])) as {
    registry_proxies: Record<string, unknown>
  }
  const configureWith = (settings: object, cache: object = {}): Promise<unknown> => {
    const registryProxies = { ...proxies.registry_proxies, ...cache }
    const storage = { min_free: '10MB' }
    const all = { ...proxies, registry_proxies: registryProxies, storage, ...settings }
    return configure(registry, JSON.stringify(all))
  }
  await configureWith({})
  for (const tag of ['v1', 'v2', 'v3']) await registry.push('ci/app', tag, image(Number(tag[1])))
  await registry.push('old/project', 'v1', image(4))
  await registry.push('gone', 'v1', image(5))
  await fill(registry, disk)
  await assertPulled(registry, 'ci/app', 'v1')
  const metrics = await registry.request('GET', '/metrics')
  const [, told] = /^trow_storage_free_bytes (\d+)/m.exec(metrics.body.toString()) ?? []
  assert.ok(Number(told) >= 10 * MB && Number(told) < 14 * MB, `${told} bytes are free`)

  // 1.
  await trow('rm', '--yes', `${registry.host}/gone`)
  const before = disk.freeBytes
  const removed = (text: string): string => /removed: (.*)/.exec(text)?.[1] ?? text
  const shownFirst = removed(await trow('gc', '--dry-run', registry.url))
  assert.equal(disk.freeBytes, before)
  assert.equal(removed(await trow('gc', registry.url)), shownFirst)
  assert.ok(disk.freeBytes > before + 3.5 * MB)
  await fill(registry, disk)

  // 2. What was pushed within the grace stays, unless its repository goes.
  const full = disk.freeBytes
  await trow('rm', '--yes', `${registry.host}/ci/app:v1`)
  await trow('gc', registry.url)
  assert.ok(disk.freeBytes < full + MB, `${full} ${disk.freeBytes}`)
  await trow('rm', '--yes', `${registry.host}/old/project`)
  await trow('gc', registry.url)
  assert.ok(disk.freeBytes > full + 3.5 * MB, `${full} ${disk.freeBytes}`)
  await configureWith({ gc: { grace: '1s' } })
  await until('the image that was deleted is collected', async () => {
    await trow('gc', registry.url)
    return disk.freeBytes > full + 7 * MB
  })
  const retention = [{ repositories: ['ci/*'], keep_newest: 1 }]
  await configureWith({ gc: { grace: '1s' }, retention })
  const shown = await trow('gc', '--dry-run', registry.url)
  assert.match(shown, /ci\/app.*v2.*retention\[0\]/)
  await assertPulled(registry, 'ci/app', 'v2')
  await until('the tag that no rule keeps is gone', async () => {
    await trow('gc', registry.url)
    // Asked without a pull, which would keep it.
    const { tags } = (await registry.request('GET', '/v2/ci/app/tags/list')).json() as {
      tags: string[]
    }
    return !tags.includes('v2')
  })
  await assertPulled(registry, 'ci/app', 'v3')

  // 3.
  const cached = ['a', 'b'].map((name) => addImage(scene, name, { [name]: 2 * MB }))
  for (const entry of cached) await cacheImage(scene, entry)
  const withCache = disk.freeBytes
  await configureWith({}, { max_size: '1MB' })
  await until('the cache gives back', () => disk.freeBytes > withCache + 3.5 * MB)
  await fill(registry, disk)

  // 4.
  execFileSync('mount', ['-o', 'remount,size=90m', disk.path])
  assert.equal((await pushMore(registry, 'into the larger volume')).status, 201)
})

describe('full to the last byte', () => {
  for (const { from, make, goesOn } of [
    { from: 'the files in uploads/', make: emptyUploads, goesOn: false },
    { from: 'something else on the volume', make: ({ disk }: Full) => disk.free(), goesOn: true },
  ]) {
    test(`room for deleting comes from ${from}, without a restart`, async (t) => {
      using disk = await mountSmallDisk(t, 'size=40m')
      if (disk === undefined) return
      await using registry = await startRegistry({ dataDirectory: join(disk.path, 'data') })
      await registry.push('team/app', 'v1', image(1))
      await registry.push('old/project', 'v1', image(2))
      const location = await startSession(registry, 'team/app')
      const chunk = { body: makeBlob('half', 2 * MB).bytes }
      assert.equal((await registry.request('PATCH', location, chunk)).status, 202)
      disk.fill()
      const refused = await runTrow(['rm', '--yes', `${registry.host}/old/project`])
      assert.equal(refused.code, 1)
      assert.match(refused.stderr, /\(STORAGE_FULL\)/)
      await assertPulled(registry, 'team/app', 'v1')

      make({ disk, registry })
      const free = disk.freeBytes
      await trow('rm', '--yes', `${registry.host}/old/project`)
      await trow('gc', registry.url)
      assert.ok(disk.freeBytes > free + 3.5 * MB)
      const goingOn = await registry.request('PATCH', location, chunk)
      if (goesOn) assert.equal(goingOn.status, 202)
      else assertError(goingOn, 404, 'BLOB_UPLOAD_UNKNOWN')
      assert.equal((await pushMore(registry, 'again')).status, 201)
      await assertPulled(registry, 'team/app', 'v1')
      await trow('scrub', registry.url)
    })
  }
})

interface Full {
  readonly disk: SmallDisk
  readonly registry: Registry
}

function emptyUploads({ registry }: Full): void {
  const uploads = join(registry.dataDirectory, 'uploads')
  for (const name of readdirSync(uploads)) rmSync(join(uploads, name))
}
