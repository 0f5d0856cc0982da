/**
 * One pass of garbage collection, step by step: what is told of it, and in which order things go. What
 * an earlier step lets go of, a later one finds.
 */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { hasRetention } from '../config/tag-policy.ts'
import type { Digest } from '../oci/digest.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { CollectorBounds, CollectorParts, CollectorSettings } from './collector.ts'
import type { OperationMonitor } from './operation.ts'
import type {
  ImageDeletion,
  Scan,
  Scanned,
  ScannedTable,
  TagUse,
} from './ports/collection-metadata.ts'
import type { BlobRecord } from './ports/records.ts'
import { attachedTags, expiredTags } from './retention.ts'

export interface CollectionReport {
  readonly dryRun: boolean
  /** Idle upload sessions that were removed. */
  readonly uploads: number
  /** Tags that no rule of `retention` keeps. */
  readonly tags: number
  /** Manifests that went with these tags, or that nothing held for long. */
  readonly manifests: number
  /** Blobs that were taken from a repository none of whose manifests needs them. */
  readonly unneeded: number
  /** Others of these, which were put or asked for within the grace period. */
  readonly waiting: number
  /** Content whose bytes were removed: no repository has it. */
  readonly blobs: number
  readonly bytes: number
  /** Nothing was judged by its age: the clock was set not long ago. */
  readonly clockJumped?: true
}

interface PassOptions extends CollectorSettings {
  readonly dryRun: boolean
  readonly isClockSteady: boolean
  readonly monitor: OperationMonitor
}

export class CollectionPass {
  readonly #parts: CollectorParts
  readonly #bounds: CollectorBounds
  readonly #options: PassOptions
  readonly #counts = {
    uploads: 0,
    tags: 0,
    manifests: 0,
    unneeded: 0,
    waiting: 0,
    blobs: 0,
    bytes: 0,
  }

  constructor(parts: CollectorParts, bounds: CollectorBounds, options: PassOptions) {
    this.#parts = parts
    this.#bounds = bounds
    this.#options = options
  }

  /** @throws whatever a step throws; what was done until then is done. */
  async run(): Promise<CollectionReport> {
    const { dryRun, isClockSteady } = this.#options
    if (isClockSteady) {
      await this.#expireUploads()
      await this.#expireTags()
      await this.#deleteUntagged()
      await this.#unlinkUnneeded()
    }
    await this.#removeNobodys()
    return { dryRun, ...this.#counts, ...(!isClockSteady && { clockJumped: true }) }
  }

  async #expireUploads(): Promise<void> {
    const { uploadIdleSeconds, dryRun } = this.#options
    if (dryRun) return
    const { uploads, clock } = this.#parts
    const before = clock.now() - uploadIdleSeconds * 1000
    for (;;) {
      const removed = await this.#step(() =>
        uploads.expireUploads(before, this.#bounds.perWriteMax),
      )
      this.#counts.uploads += removed
      if (removed === 0) return
    }
  }

  async #expireTags(): Promise<void> {
    const { tagPolicy } = this.#options
    if (tagPolicy.retention.length === 0) return
    let after: RepositoryName | undefined
    let done = 0
    do {
      const page = { limit: this.#bounds.perWriteMax, ...(after !== undefined && { after }) }
      const repositories = await this.#step(() => this.#parts.metadata.listRepositories(page))
      for (const repository of repositories) {
        const isJudged = !isProxiedName(repository) && hasRetention(tagPolicy, repository)
        if (isJudged) await this.#expireTagsOf(repository)
        done += 1
        this.#options.monitor.progress({ step: 'repositories', done })
      }
      after = repositories.length < page.limit ? undefined : repositories.at(-1)
    } while (after !== undefined)
  }

  async #expireTagsOf(repository: RepositoryName): Promise<void> {
    const { uses, clock, log } = this.#parts
    const { tagPolicy } = this.#options
    await uses.flush()
    const tags = await this.#tagUses(repository)
    if (tags === undefined) {
      log.warn({ repository }, 'the repository has too many tags for retention; none is deleted')
      return
    }
    for (const expired of expiredTags(tagPolicy, repository, tags, clock.now())) {
      const { tag, digest, reason } = expired
      await this.#deleteImage({ repository, digest, tags: [tag] }, this.#graceBefore, reason)
    }
    for (const { tag, digest, subject } of attachedTags(tagPolicy, repository, tags)) {
      const known = await this.#parts.metadata.findManifest(repository, subject)
      if (known !== undefined) continue
      const reason = `what it is attached to is gone: ${subject}`
      await this.#deleteImage({ repository, digest, tags: [tag] }, this.#graceBefore, reason)
    }
  }

  /** @returns undefined when there are too many. */
  async #tagUses(repository: RepositoryName): Promise<TagUse[] | undefined> {
    const { rowsPerStep: limit, tagsMax } = this.#bounds
    const all: TagUse[] = []
    for (;;) {
      const after = all.at(-1)?.tag
      const page = { limit, ...(after !== undefined && { after }) }
      const tags = await this.#step(() => this.#parts.metadata.listTagUses(repository, page))
      all.push(...tags)
      if (all.length > tagsMax) return undefined
      if (tags.length < limit) return all
    }
  }

  async #deleteUntagged(): Promise<void> {
    const { untaggedSeconds } = this.#options
    const { metadata, clock, uses } = this.#parts
    if (untaggedSeconds === undefined) return
    const before = Math.min(clock.now() - untaggedSeconds * 1000, this.#graceBefore)
    await this.#scan(
      'manifests',
      (scan) => metadata.scanUntagged(before, scan),
      async (untagged) => {
        await uses.flush()
        for (const manifest of untagged) {
          await this.#deleteImage({ ...manifest, tags: [] }, before, 'no tag, index or subject')
        }
      },
    )
  }

  /** Unless somebody pushed, pulled or asks for a part of it. */
  async #deleteImage(
    image: Pick<ImageDeletion, 'repository' | 'digest' | 'tags'>,
    askedBefore: number,
    reason: string,
  ): Promise<void> {
    const { metadata, manifests, uses } = this.#parts
    const { monitor, dryRun } = this.#options
    const { repository } = image
    const isAsked = (digest: Digest): boolean => uses.has(repository, digest)
    try {
      const result = await this.#step(() =>
        metadata.deleteImage({ ...image, askedBefore, isAsked, dryRun }),
      )
      if (result.outcome !== 'deleted') return
      this.#counts.tags += result.tags.length
      this.#counts.manifests += result.manifests.length
      const { tags, manifests: gone } = result
      await monitor.tell({ repository, digest: image.digest, tags, manifests: gone, reason })
    } finally {
      if (!dryRun) manifests.forget(repository)
    }
  }

  get #graceBefore(): number {
    return this.#parts.promises.expiredBefore
  }

  async #unlinkUnneeded(): Promise<void> {
    const { metadata, promises } = this.#parts
    await this.#scan(
      'blobs of repositories',
      // Those that wait are only counted, for whoever wonders why they are still there.
      (scan) => metadata.scanUnneededBlobs(Number.MAX_SAFE_INTEGER, scan),
      async (found) => {
        const unneeded = found.filter(({ askedAt }) => askedAt < promises.expiredBefore)
        this.#counts.waiting += found.length - unneeded.length
        if (unneeded.length === 0) return
        this.#counts.unneeded += this.#options.dryRun
          ? unneeded.length
          : await metadata.unlinkUnneededBlobs(unneeded, promises.expiredBefore)
      },
    )
  }

  async #removeNobodys(): Promise<void> {
    const { metadata } = this.#parts
    if (!this.#options.dryRun) await this.#step(() => this.#resumeRemovals())
    await this.#scan(
      'blobs',
      (scan) => metadata.scanNobodys(scan),
      (nobodys) => this.#remove(nobodys),
    )
  }

  /** What could not be removed before. */
  async #resumeRemovals(): Promise<void> {
    await this.#counting(() => this.#parts.removal.resume(this.#bounds.rowsPerStep))
  }

  async #remove(nobodys: readonly BlobRecord[]): Promise<void> {
    if (this.#options.dryRun) {
      this.#counts.blobs += nobodys.length
      this.#counts.bytes += nobodys.reduce((total, { size }) => total + size, 0)
      return
    }
    await this.#counting(() => this.#parts.removal.removeContent(nobodys))
  }

  async #counting(remove: () => Promise<unknown>): Promise<void> {
    const { removal } = this.#parts
    const before = removal.totals
    try {
      await remove()
    } finally {
      this.#counts.blobs += removal.totals.blobs - before.blobs
      this.#counts.bytes += removal.totals.bytes - before.bytes
    }
  }

  /** Goes through a table part by part. What is found is dealt with a bounded number at a time. */
  async #scan<T>(
    step: ScannedTable,
    look: (scan: Scan) => Promise<Scanned<T>>,
    act: (found: readonly T[]) => Promise<void>,
  ): Promise<void> {
    const { rowsPerStep, perWriteMax } = this.#bounds
    const total = await this.#step(() => this.#parts.metadata.countRows(step))
    let done = 0
    let after: string | undefined
    do {
      const scan = { rows: rowsPerStep, ...(after !== undefined && { after }) }
      const { found, next } = await this.#step(() => look(scan))
      for (let start = 0; start < found.length; start += perWriteMax) {
        await this.#step(() => act(found.slice(start, start + perWriteMax)))
      }
      // Rows may come and go meanwhile.
      done = next === undefined ? total : Math.min(done + rowsPerStep, total)
      this.#options.monitor.progress({ step, done, total })
      after = next
    } while (after !== undefined)
  }

  /** Others have their turn after each step. @throws when the pass was ended. */
  async #step<T>(work: () => Promise<T>): Promise<T> {
    const { signal } = this.#options.monitor
    signal.throwIfAborted()
    const started = performance.now()
    const result = await work()
    const pause = (performance.now() - started) * this.#bounds.pauseShare
    await (pause > 0 ? delay(pause) : nextTurn())
    return result
  }
}
