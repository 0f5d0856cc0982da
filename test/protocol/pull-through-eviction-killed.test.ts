/**
 * 37. A registry that is killed while it evicts: what was pushed, before or meanwhile, is there, also
 * what is both pushed and cached; nothing is known whose bytes are gone; eviction goes on.
 */
import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import {
  addImage,
  type CachedImage,
  diskUsage,
  isStored,
  pullImage,
} from '../support/cached-images.ts'
import { proxyConfig, type Scene, startScene } from '../support/pull-through.ts'
import { type Blob, makeBlob } from '../support/push-steps.ts'
import type { Registry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const imageCount = 80
const layerNames = ['a', 'b', 'c', 'd', 'e', 'f']
const layerBytes = 2_000
const maxSize = 200_000

test('a registry that is killed while it evicts loses nothing that was pushed', async () => {
  await using scene = await startScene()
  const { registry } = scene
  const images = Array.from({ length: imageCount }, (_, index) =>
    addImage(scene, `v${index}`, layersOf(index)),
  )
  await inParallel(images, (image) => pullImage(scene, image))
  const acknowledged: Blob[] = []
  const push = async (blob: Blob): Promise<void> => {
    await registry.pushBlob('own/app', blob)
    acknowledged.push(blob)
  }
  const own = makeBlob('pushed alone', 5_000)
  for (const blob of [own, ...(images[0]?.blobs ?? [])]) await push(blob)

  const config = proxyConfig([{ host: scene.host, insecure: true }], { max_size: maxSize })
  writeFileSync(registry.configFile, config)
  registry.signal('SIGHUP')
  const oldest = images.slice(0, imageCount / 2).flatMap(({ blobs }) => blobs)
  // Pushes of just what is being evicted, until the end.
  const pushing = pushUntilDeath(oldest, push)
  await until('some of it is gone', () => isGone(registry, images[imageCount / 4]))
  await registry.kill()
  await pushing
  assert.ok((await diskUsage(registry)) > maxSize, 'it was killed before it was done')

  await registry.restart({ config })
  await until('the cache is small', () => isSmall(scene, acknowledged))
  for (const { digest, bytes } of acknowledged) {
    const got = await registry.request('GET', `/v2/own/app/blobs/${digest}`)
    assert.ok(got.body.equals(bytes), `${got.status} ${digest}`)
  }
  for (const image of images.slice(0, 5)) await pullImage(scene, image)
  assert.deepEqual(
    registry.logs().filter(({ level }) => level === 'error'),
    [],
  )
  await registry.stop()
  assert.deepEqual(lostContent(registry), [])
  await registry.start()
})

function layersOf(image: number): Record<string, number> {
  return Object.fromEntries(layerNames.map((name) => [`${name} of ${image}`, layerBytes]))
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<unknown>) {
  const waiting = [...items]
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item)
  }
  await Promise.all([worker(), worker(), worker(), worker()])
}

async function pushUntilDeath(
  blobs: readonly Blob[],
  push: (blob: Blob) => Promise<void>,
): Promise<void> {
  try {
    for (const blob of blobs) await push(blob)
  } catch {
    // It was killed: what was under way is not acknowledged.
  }
}

async function isGone(registry: Registry, image: CachedImage | undefined): Promise<boolean> {
  return image !== undefined && !(await isStored(registry, image.manifest.digest))
}

/** What a crash leaves without anybody knowing it is for garbage collection, so it is not counted. */
async function isSmall({ registry }: Scene, pushed: readonly Blob[]): Promise<boolean> {
  const known = bytesKnown(registry)
  const own = new Map(pushed.map(({ digest, bytes }) => [digest, bytes.length]))
  const pushedBytes = [...own.values()].reduce((total, size) => total + size, 0)
  return known - pushedBytes <= 0.85 * maxSize
}

/** Bytes of all that some repository has. */
function bytesKnown(registry: Registry): number {
  const rows = query(registry, `select sum(size) as bytes from (${contentOfRepositories})`)
  return Number(rows[0]?.['bytes'] ?? 0)
}

const contentOfRepositories = `
  select digest, size from blobs
  where digest in (select digest from repository_blobs) or digest in (select digest from manifests)`

/** What a repository has although its bytes are not there. */
function lostContent(registry: Registry): string[] {
  return query(registry, contentOfRepositories)
    .filter(({ digest, size }) => sizeOf(registry, String(digest)) !== Number(size))
    .map(({ digest }) => String(digest))
}

function sizeOf({ dataDirectory }: Registry, digest: string): number | undefined {
  const [algorithm = '', hex = ''] = digest.split(':')
  const path = join(dataDirectory, 'blobs', algorithm, hex.slice(0, 2), hex)
  return statSync(path, { throwIfNoEntry: false })?.size
}

function query({ dataDirectory }: Registry, sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(join(dataDirectory, 'metadata.db'), { readOnly: true })
  try {
    return database.prepare(sql).all()
  } finally {
    database.close()
  }
}
