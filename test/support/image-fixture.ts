// Well-formed images made in memory, the same bytes on every machine: layers are real ustar
// archives in gzip framing (stored, as compressors differ between builds of zlib), with a config,
// a manifest per platform and, for more than one platform, an index. Children stand before parents.

import { createCipheriv, createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly platform?: Platform
  readonly annotations?: Readonly<Record<string, string>>
}

export interface Content {
  readonly digest: string
  readonly bytes: Buffer
  readonly mediaType: string
}

/** An image's content in the order in which it can be pushed: blobs, then manifests. */
export interface ImageFixture {
  readonly blobs: readonly Content[]
  readonly manifests: readonly Content[]
  readonly root: Descriptor
}

export interface ImageFixtureOptions {
  readonly layers?: number
  /** About how large each layer is. */
  readonly layerBytes?: number
  readonly seed?: number
  /** `os/architecture[/variant]`; more than one makes the root an image index. */
  readonly platforms?: readonly string[]
  /** What the root refers to, which makes it a referrer. */
  readonly subject?: Descriptor
  readonly mediaTypes?: 'oci' | 'docker'
}

/** A gzip layer and the digest of the archive inside it. */
export interface Layer {
  readonly bytes: Buffer
  readonly diffId: string
}

export interface PlatformImage {
  readonly platform: string
  readonly layers: readonly Layer[]
}

const mediaTypesByName = {
  oci: {
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
  },
  docker: {
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
  },
} as const

const created = '2024-01-01T00:00:00Z'
const createdSeconds = Date.parse(created) / 1000

export function sha256Digest(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** An image with made-up files; the same options give the same bytes. */
export function imageFixture(options: ImageFixtureOptions = {}): ImageFixture {
  const { layers = 2, layerBytes = 64 * 1024, seed = 1, platforms = ['linux/amd64'] } = options
  const images = platforms.map((platform) => ({
    platform,
    layers: Array.from({ length: layers }, (_, layer) =>
      storedLayer(layerEntries(`${seed} ${platform} ${layer}`, layer, layerBytes)),
    ),
  }))
  return assembleImage(images, options)
}

/** Config, manifests and (for several platforms) index around layers that exist already. */
export function assembleImage(
  images: readonly PlatformImage[],
  options: Pick<ImageFixtureOptions, 'mediaTypes' | 'subject'> = {},
): ImageFixture {
  const types = mediaTypesByName[options.mediaTypes ?? 'oci']
  const blobs = new Map<string, Content>()
  const manifests: Content[] = []
  const subject = options.subject && { subject: options.subject }
  const addBlob = (bytes: Buffer, mediaType: string) => {
    const blob = { digest: sha256Digest(bytes), bytes, mediaType }
    blobs.set(blob.digest, blob)
    return describe(blob)
  }
  const addManifest = (fields: object, mediaType: string) => {
    const bytes = jsonBytes({ schemaVersion: 2, mediaType, ...fields })
    const manifest = { digest: sha256Digest(bytes), bytes, mediaType }
    manifests.push(manifest)
    return describe(manifest)
  }
  const children = images.map(({ platform, layers }) => {
    const config = addBlob(jsonBytes(imageConfig(platform, layers)), types.config)
    const fields = { config, layers: layers.map(({ bytes }) => addBlob(bytes, types.layer)) }
    const isRoot = images.length === 1
    const manifest = addManifest({ ...fields, ...(isRoot && subject) }, types.manifest)
    return isRoot ? manifest : { ...manifest, platform: parsePlatform(platform) }
  })
  const [only] = children
  const root =
    children.length === 1 && only !== undefined
      ? only
      : addManifest({ manifests: children, ...subject }, types.index)
  return { blobs: [...blobs.values()], manifests, root }
}

function describe({ digest, bytes, mediaType }: Content): Descriptor {
  return { mediaType, digest, size: bytes.length }
}

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function parsePlatform(platform: string): Platform {
  const [os = '', architecture = '', variant] = platform.split('/')
  return { architecture, os, ...(variant !== undefined && { variant }) }
}

function imageConfig(platform: string, layers: readonly Layer[]): object {
  return {
    created,
    ...parsePlatform(platform),
    config: { Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['/bin/sh'] },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map((_, layer) => ({ created, created_by: `layer ${layer}` })),
  }
}

/** A directory tree with text and incompressible bytes; later layers also delete a file. */
function layerEntries(seed: string, layer: number, bytes: number): TarEntry[] {
  const half = Math.floor(bytes / 2)
  const line = `A line of text of the layer ${seed}.\n`
  const directory = `srv/layer-${layer}/`
  const whiteout = { name: `srv/layer-${layer - 1}/.wh.random`, content: Buffer.alloc(0) }
  return [
    { name: 'srv/' },
    ...(layer > 0 ? [{ name: `srv/layer-${layer - 1}/` }, whiteout] : []),
    { name: directory },
    { name: `${directory}random`, content: pseudoRandomBytes(seed, bytes - half) },
    { name: `${directory}text`, content: Buffer.alloc(half, line) },
  ]
}

/** The same bytes for the same seed: AES-CTR over zeros, keyed by the seed. */
export function pseudoRandomBytes(seed: string, length: number): Buffer {
  const key = createHash('sha256').update(seed).digest()
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  return cipher.update(Buffer.alloc(length))
}

/** A layer that is gzip to every reader, its archive stored as it is. */
export function storedLayer(entries: readonly TarEntry[]): Layer {
  const archive = tarArchive(entries)
  return { bytes: storedGzip(archive), diffId: sha256Digest(archive) }
}

/** RFC 1952 around RFC 1951's stored blocks: no compressor, hence the same bytes everywhere. */
function storedGzip(content: Buffer): Buffer {
  const blockBytesMax = 0xffff
  const parts: Buffer[] = [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])]
  for (let offset = 0; offset < content.length; offset += blockBytesMax) {
    const block = content.subarray(offset, offset + blockBytesMax)
    const header = Buffer.alloc(5)
    header.writeUInt8(offset + blockBytesMax >= content.length ? 1 : 0, 0)
    header.writeUInt16LE(block.length, 1)
    header.writeUInt16LE(block.length ^ 0xffff, 3)
    parts.push(header, block)
  }
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc32(content), 0)
  trailer.writeUInt32LE(content.length, 4)
  return Buffer.concat([...parts, trailer])
}

export interface TarEntry {
  /** At most 100 bytes; a directory's ends in a slash. */
  readonly name: string
  readonly content?: Buffer
  readonly mode?: number
  /** `1` a hard link, `2` a symbolic one, `3` a device; a file or a directory if absent. */
  readonly type?: string
  readonly link?: string
}

/** A POSIX ustar archive owned by root, every entry with the same time. */
export function tarArchive(entries: readonly TarEntry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const { length } = entry.content ?? Buffer.alloc(0)
    const padding = Buffer.alloc((512 - (length % 512)) % 512)
    return [tarHeader(entry, length), entry.content ?? Buffer.alloc(0), padding]
  })
  return Buffer.concat([...parts, Buffer.alloc(1024)])
}

function tarHeader({ name, mode, type, link = '' }: TarEntry, size: number): Buffer {
  if (Buffer.byteLength(name) > 100) throw new RangeError(`too long for a tar header: ${name}`)
  const isDirectory = name.endsWith('/')
  const header = Buffer.alloc(512)
  const octal = (value: number, offset: number, digits: number) =>
    header.write(value.toString(8).padStart(digits, '0'), offset)
  header.write(name, 0)
  octal(mode ?? (isDirectory ? 0o755 : 0o644), 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  octal(size, 124, 11)
  octal(createdSeconds, 136, 11)
  header.write(type ?? (isDirectory ? '5' : '0'), 156)
  header.write(link, 157)
  header.write('ustar\u000000', 257, 'latin1')
  header.fill(' ', 148, 156)
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  )
  header[154] = 0
  return header
}
