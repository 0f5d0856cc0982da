// Small images of an upstream, pulling them through a registry as a node does, and a look at what
// the registry has on its disk of them.

import assert from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Content } from './image-fixture.ts'
import { pathOf, type Scene } from './pull-through.ts'
import { type Blob, makeBlob, makeManifest, ociIndex } from './push-steps.ts'
import type { Registry } from './start-registry.ts'

export interface CachedImage {
  readonly repository: string
  readonly tag: string
  readonly manifest: Content
  /** The config is the first one. */
  readonly blobs: readonly Blob[]
}

/** An image whose layers are named by their seeds: the same seed is the same layer. */
export function addImage(
  { upstream }: Scene,
  tag: string,
  layers: Readonly<Record<string, number>>,
  repository = 'app',
): CachedImage {
  const config = makeBlob(`config of ${tag}`)
  const blobs = [config, ...Object.entries(layers).map(([seed, size]) => makeBlob(seed, size))]
  const [first, ...rest] = blobs.map(({ digest, bytes }, index) => ({
    mediaType: `application/vnd.oci.image.${index === 0 ? 'config.v1+json' : 'layer.v1.tar'}`,
    digest,
    size: bytes.length,
  }))
  const manifest = makeManifest({ config: first, layers: rest, annotations: { tag } })
  for (const blob of blobs) upstream.content.addBlob(repository, blob.bytes)
  upstream.content.addManifest(repository, manifest, tag)
  return { repository, tag, manifest, blobs }
}

/** An index over images, under a tag of its own. */
export function addIndex(
  { upstream }: Scene,
  tag: string,
  images: readonly CachedImage[],
  repository = 'app',
): Content {
  const manifests = images.map(({ manifest: { mediaType, digest, bytes } }) => ({
    mediaType,
    digest,
    size: bytes.length,
  }))
  const index = makeManifest({ manifests }, ociIndex)
  upstream.content.addManifest(repository, index, tag)
  return index
}

/** Asks for the tag, the manifest and all blobs. @returns the `X-Cache` of each. */
export async function pullImage(scene: Scene, image: CachedImage): Promise<string[]> {
  const { repository, tag, manifest, blobs } = image
  const base = pathOf(scene, repository)
  const head = await scene.registry.request('HEAD', `${base}/manifests/${tag}`)
  assert.equal(head.header('docker-content-digest'), manifest.digest)
  const got = await scene.registry.request('GET', `${base}/manifests/${manifest.digest}`)
  assert.ok(got.body.equals(manifest.bytes), `${got.status} ${got.body.toString()}`)
  const caches = [head.header('x-cache'), got.header('x-cache')]
  for (const { digest, bytes } of blobs) {
    const reply = await scene.registry.request('GET', `${base}/blobs/${digest}`)
    assert.ok(reply.body.equals(bytes), `${reply.status} ${digest}`)
    caches.push(reply.header('x-cache'))
  }
  return caches
}

/** Pulls an image and waits until all of it is on the disk. */
export async function cacheImage(scene: Scene, image: CachedImage): Promise<void> {
  await pullImage(scene, image)
  // Not only on the disk: the database has to know of it, too.
  for (const { digest } of image.blobs) await scene.kept(digest)
}

export async function isStored(registry: Registry, digest: string): Promise<boolean> {
  const [algorithm = '', hex = ''] = digest.split(':')
  const path = join(registry.dataDirectory, 'blobs', algorithm, hex.slice(0, 2), hex)
  return (await sizeOf(path)) !== undefined
}

/** Which of these images are there, complete, by their tags. */
export async function storedImages(
  registry: Registry,
  images: readonly CachedImage[],
): Promise<string[]> {
  const tags: string[] = []
  for (const { tag, manifest, blobs } of images) {
    const all = [manifest, ...blobs].map(({ digest }) => isStored(registry, digest))
    if ((await Promise.all(all)).every(Boolean)) tags.push(tag)
  }
  return tags
}

/** Bytes of all files that hold content, staged or verified. */
export async function diskUsage({ dataDirectory }: Registry): Promise<number> {
  let total = 0
  // In this order what is renamed meanwhile is not counted twice.
  for (const name of ['blobs', 'uploads']) {
    const directory = join(dataDirectory, name)
    const entries = await readdir(directory, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile())
    const sizes = await Promise.all(files.map((file) => sizeOf(join(file.parentPath, file.name))))
    for (const size of sizes) total += size ?? 0
  }
  return total
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch {
    return undefined
  }
}
