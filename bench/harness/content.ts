// Images as files, laid out as the paths of a registry are, so that a server of static files can
// serve them; and pushing them to a real one.

import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  mkdirSync,
  openSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { send } from '../../test/support/http-client.ts'

const MiB = 1024 * 1024
const pieceBytes = MiB

export interface StoredBlob {
  readonly digest: string
  readonly size: number
  readonly path: string
}

export interface StoredImage {
  readonly repository: string
  readonly tag: string
  readonly manifest: { readonly digest: string; readonly bytes: Buffer }
  /** The config, then the layers. */
  readonly blobs: readonly StoredBlob[]
}

export class Content {
  readonly directory: string
  readonly #images: StoredImage[] = []

  constructor(directory: string) {
    this.directory = directory
  }

  get images(): readonly StoredImage[] {
    return this.#images
  }

  /** An image of random bytes; no two are alike. */
  addImage(repository: string, layers: readonly number[]): StoredImage {
    const base = join(this.directory, 'v2', repository)
    mkdirSync(join(base, 'blobs'), { recursive: true })
    mkdirSync(join(base, 'manifests'), { recursive: true })
    const blobs = [2_000, ...layers].map((size) => writeBlob(join(base, 'blobs'), size))
    const bytes = Buffer.from(JSON.stringify(manifestOf(blobs), null, 2))
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const tag = 'latest'
    for (const name of [tag, digest]) writeFileSync(join(base, 'manifests', name), bytes)
    const image = { repository, tag, manifest: { digest, bytes }, blobs }
    this.#images.push(image)
    return image
  }
}

const mediaType = 'application/vnd.oci.image.manifest.v1+json'

function manifestOf(blobs: readonly StoredBlob[]): object {
  const descriptors = blobs.map(({ digest, size }, index) => ({
    mediaType:
      index === 0
        ? 'application/vnd.oci.image.config.v1+json'
        : 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest,
    size,
  }))
  const [config, ...layers] = descriptors
  return { schemaVersion: 2, mediaType, config, layers }
}

/** The same random piece again and again, numbered: disks that compress are rare, digests are not. */
function writeBlob(directory: string, size: number): StoredBlob {
  const hash = createHash('sha256')
  const temporary = join(directory, `writing-${size}`)
  const file = openSync(temporary, 'w')
  const piece = randomBytes(Math.min(size, pieceBytes))
  for (let offset = 0; offset < size; offset += pieceBytes) {
    piece.writeUInt32LE(offset / pieceBytes, 0)
    const bytes = piece.subarray(0, size - offset)
    hash.update(bytes)
    writeSync(file, bytes)
  }
  closeSync(file)
  const digest = `sha256:${hash.digest('hex')}`
  const path = join(directory, digest)
  renameSync(temporary, path)
  return { digest, size, path }
}

export async function pushImage(url: string, image: StoredImage): Promise<void> {
  const { repository, tag, manifest, blobs } = image
  for (const blob of blobs) await pushBlob(url, repository, blob)
  const target = new URL(`/v2/${repository}/manifests/${tag}`, url)
  const headers = { 'content-type': mediaType }
  await expect(201, send('PUT', target, { body: manifest.bytes, headers }))
}

async function pushBlob(url: string, repository: string, blob: StoredBlob): Promise<void> {
  const started = await expect(202, send('POST', new URL(`/v2/${repository}/blobs/uploads/`, url)))
  const location = new URL(started.header('location'), url)
  location.searchParams.set('digest', blob.digest)
  const body = createReadStream(blob.path, { highWaterMark: MiB })
  const headers = { 'content-length': blob.size, 'content-type': 'application/octet-stream' }
  await expect(201, send('PUT', location, { body, headers }))
}

async function expect<T extends { readonly status: number; readonly body: Buffer }>(
  status: number,
  sending: Promise<T>,
): Promise<T> {
  const reply = await sending
  if (reply.status === status) return reply
  throw new Error(`expected ${status}, got ${reply.status}: ${reply.body.toString().slice(0, 500)}`)
}
