/**
 * Moves images: children, blobs, then the manifest itself, then its tag, so that an end at any point
 * leaves nothing half there, and a second run goes on where it was. What the destination has is not
 * sent again, and each blob once, however many images share it.
 */
import { limits } from '../config/limits.ts'
import { LruCache } from '../lib/lru-cache.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type Digest, digestAlgorithm, digestOf } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { type Manifest, parseManifest } from '../oci/manifest.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import {
  type ContentDestination,
  type ContentSource,
  type MovedManifest,
  MoveError,
  type SourceImage,
} from './content-source.ts'
import { verifiedBytes } from './verified-bytes.ts'

/** What became of an image; its shape is that of the JSON output (`docs/cli.md`). */
export interface MoveResult {
  /** `repository:tag`, or `repository@digest` of what has no tag. */
  readonly image: string
  readonly status: 'moved' | 'present' | 'skipped' | 'failed'
  readonly digest?: Digest
  /** Bytes that had to be moved; of a dry run, that would have to be. */
  readonly movedSize?: number
  /** Why it was skipped or failed. */
  readonly message?: string
}

export interface MoveProgress {
  expect(bytes: number): void
  advance(bytes: number): void
}

export interface MoveSettings {
  readonly signal: AbortSignal
  readonly dryRun: boolean
}

interface Move {
  readonly repository: RepositoryName
  readonly progress: MoveProgress
  movedSize: number
}

interface ReadManifest extends MovedManifest {
  readonly content: Manifest
}

export class ImageMover {
  readonly #source: ContentSource
  readonly #destination: ContentDestination
  readonly #signal: AbortSignal
  readonly #dryRun: boolean
  /** The first repository that each blob went to; the others take it from there. */
  readonly #blobs = new LruCache<Digest, Promise<RepositoryName>>({
    entriesMax: limits.movedBlobsRememberedMax,
  })
  /** Manifests with all that they refer to. */
  readonly #manifests = new LruCache<string, Promise<MovedManifest>>({
    entriesMax: limits.movedManifestsRememberedMax,
  })

  constructor(source: ContentSource, destination: ContentDestination, settings: MoveSettings) {
    this.#source = source
    this.#destination = destination
    this.#signal = settings.signal
    this.#dryRun = settings.dryRun
  }

  /** @throws the signal's reason when it is aborted. */
  async move(image: SourceImage, progress: MoveProgress): Promise<MoveResult> {
    const { repository, tag, digest } = image
    const name = tag === undefined ? `${repository}@${digest}` : `${repository}:${tag}`
    const refusal = this.#destination.refusalOf(repository)
    if (refusal !== undefined) return { image: name, status: 'skipped', digest, message: refusal }
    const move = { repository, progress, movedSize: 0 }
    try {
      const isMoved = await this.#moveImage(image, move)
      const status = isMoved || move.movedSize > 0 ? 'moved' : 'present'
      return { image: name, status, digest, movedSize: move.movedSize }
    } catch (error) {
      this.#signal.throwIfAborted()
      if (!isFailure(error)) throw error
      return { image: name, status: 'failed', digest, message: error.message }
    }
  }

  /** @returns whether it was not all there. */
  async #moveImage({ repository, tag, digest }: SourceImage, move: Move): Promise<boolean> {
    const found = await this.#destination.findManifest(repository, tag ?? digest, this.#signal)
    const isThere = found === digest
    if (!isThere || isProxiedName(repository)) {
      const manifest = await this.#moveManifest(move, digest, 0)
      if (!isThere && tag !== undefined && !this.#dryRun) {
        await this.#destination.putManifest(repository, manifest, tag, this.#signal)
      }
    }
    await this.#moveReferrers(move, digest, 0)
    return !isThere
  }

  async #moveReferrers(move: Move, subject: Digest, depth: number): Promise<void> {
    if (this.#source.listReferrers === undefined) return
    checkDepth(depth)
    const { repository } = move
    const referrers = await this.#source.listReferrers(repository, subject, this.#signal)
    for (const digest of referrers) {
      const found = await this.#destination.findManifest(repository, digest, this.#signal)
      if (found !== digest) await this.#moveManifest(move, digest, depth)
      await this.#moveReferrers(move, digest, depth + 1)
    }
  }

  async #moveManifest(move: Move, digest: Digest, depth: number): Promise<MovedManifest> {
    const key = `${move.repository}@${digest}`
    const known = this.#manifests.get(key)
    if (known !== undefined) return await known
    const moving = this.#moveContent(move, digest, depth)
    this.#manifests.set(key, moving)
    return await moving
  }

  async #moveContent(move: Move, digest: Digest, depth: number): Promise<MovedManifest> {
    checkDepth(depth)
    const manifest = await this.#readManifest(move.repository, digest)
    const { content } = manifest
    for (const child of content.manifests) await this.#moveChild(move, child, depth + 1)
    for (const blob of content.optionalBlobs) {
      const isThere = await isGiven(() => this.#source.checkBlob(move.repository, blob))
      if (isThere) await this.#moveBlob(move, blob)
    }
    const queue = content.blobs.values()
    const takeTurns = async (): Promise<void> => {
      for (const blob of queue) {
        if (isProxiedName(move.repository)) await isGiven(() => this.#moveBlob(move, blob))
        else await this.#moveBlob(move, blob)
      }
    }
    const turns = Array.from({ length: limits.movedBlobsAtOnce }, takeTurns)
    const failed = (await Promise.allSettled(turns)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
    if (!this.#dryRun) {
      await this.#destination.putManifest(move.repository, manifest, undefined, this.#signal)
    }
    return manifest
  }

  async #moveChild(move: Move, { digest }: Descriptor, depth: number): Promise<void> {
    const { repository } = move
    // A cache has the platforms that were pulled, and fetches the others when they are.
    if (isProxiedName(repository)) {
      await isGiven(() => this.#moveManifest(move, digest, depth))
      return
    }
    const found = await this.#destination.findManifest(repository, digest, this.#signal)
    if (found !== digest) await this.#moveManifest(move, digest, depth)
  }

  async #readManifest(repository: RepositoryName, digest: Digest): Promise<ReadManifest> {
    const { bytes, mediaType } = await this.#source.readManifest(repository, digest, this.#signal)
    const actual = digestOf(bytes, digestAlgorithm(digest))
    if (actual !== digest) {
      throw new MoveError(`${digest} is damaged: its bytes are those of ${actual}`)
    }
    const content = parseManifest(bytes, mediaType)
    return { digest, bytes, mediaType: content.mediaType, content }
  }

  async #moveBlob(move: Move, blob: Descriptor): Promise<void> {
    const { repository, progress } = move
    progress.expect(blob.size)
    const first = this.#blobs.get(blob.digest)
    const moving = this.#putBlob(move, blob, first)
    if (first === undefined)
      this.#blobs.set(
        blob.digest,
        moving.then(() => repository),
      )
    this.#blobs.get(blob.digest)?.catch(() => undefined)
    await moving
  }

  async #putBlob(
    move: Move,
    blob: Descriptor,
    first: Promise<RepositoryName> | undefined,
  ): Promise<void> {
    const { repository, progress } = move
    const from = await first
    const signal = this.#signal
    signal.throwIfAborted()
    if (this.#dryRun) {
      await this.#source.checkBlob(repository, blob)
      const isThere = await this.#destination.hasBlob(repository, blob.digest, signal)
      if (!isThere && from === undefined) move.movedSize += blob.size
      progress.advance(blob.size)
      return
    }
    let passed = 0
    const open = (): AsyncIterable<Uint8Array> =>
      verifiedBytes(this.#source.openBlob(repository, blob, signal), blob, (bytes) => {
        passed += bytes
        progress.advance(bytes)
      })
    const isSent = await this.#destination.putBlob(repository, blob, { from, open, signal })
    if (isSent) move.movedSize += blob.size
    progress.advance(blob.size - passed)
  }
}

function checkDepth(depth: number): void {
  if (depth <= limits.movedDepthMax) return
  throw new MoveError(`its manifests are nested more than ${limits.movedDepthMax} deep`)
}

/** @returns whether the source has, whole, what `work` wants of it. */
async function isGiven(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (error instanceof MoveError) return false
    throw error
  }
}

/** Of content or of a registry, so that other content may still be moved. */
function isFailure(error: unknown): error is Error {
  return error instanceof MoveError || error instanceof OciError || error instanceof UpstreamError
}
