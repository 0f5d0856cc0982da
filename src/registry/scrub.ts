/**
 * Looks whether everything is as it should be: the database, each blob's bytes against its digest, each row against
 * bytes and back, each manifest against what it needs and what is known of it. It runs beside all else,
 * at a rate. With repair it puts damaged bytes aside, so that nobody is served them: a push brings them
 * back, and of another registry's content the next pull does.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Digest, digestAlgorithm, Digester } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import type { ContentLocks } from './content-locks.ts'
import type { KnownDamage } from './known-damage.ts'
import type { LinkKeeper } from './link-keeper.ts'
import { ManifestScrub } from './manifest-scrub.ts'
import { mergeByDigest } from './merge-by-digest.ts'
import type { OperationMonitor } from './operation.ts'
import type { BlobStore, StoredBlob } from './ports/blob-store.ts'
import type { Clock } from './ports/clock.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord } from './ports/records.ts'
import { putAsideIfUnreadable, putAsideIfWrong } from './put-aside.ts'
import type { ContentRemoval } from './remove-content.ts'
import type { Log } from './request-context.ts'

interface Parts {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly removal: Pick<ContentRemoval, 'removeContent'>
  readonly damage: KnownDamage
  readonly links: Pick<LinkKeeper, 'tellAll'>
  readonly locks: Pick<ContentLocks, 'whileRemoving'>
  readonly clock: Clock
  readonly log: Log
}

interface Bounds {
  readonly rowsPerPage: number
  /** Bytes that nobody knows of may belong to a push that is under way. */
  readonly orphanSecondsMin: number
  readonly holdersShownMax: number
  readonly manifestBytesMax: number
}

export interface ScrubOptions {
  readonly repair: boolean
  /** Bytes a second that are read; undefined for as fast as it goes. */
  readonly rateBytes?: number
  /** The database itself was looked at already. */
  readonly skipsDatabase?: boolean
  /** Bytes that no repository has are left where they are, with repair as well. */
  readonly keepsOrphans?: boolean
}

/** Something that is not as it should be. */
export interface ScrubProblem {
  readonly problem:
    | 'database'
    | 'corrupt'
    | 'missing'
    | 'orphan'
    | 'incomplete'
    | 'references'
    | 'unreadable'
  /** Of what it is about; absent for the database. */
  readonly digest?: Digest
  readonly message: string
  readonly repositories?: readonly string[]
  readonly repaired: boolean
}

export interface ScrubReport {
  readonly repair: boolean
  readonly blobs: number
  readonly bytes: number
  readonly manifests: number
  /** How many of each, whether or not they were repaired. */
  readonly problems: Readonly<Record<ScrubProblem['problem'], number>>
  /** Problems that are there still. */
  readonly unrepaired: number
}

export class Scrub {
  readonly #parts: Parts
  readonly #bounds: Bounds

  constructor(parts: Parts, bounds: Bounds) {
    this.#parts = parts
    this.#bounds = bounds
  }

  async scrub(options: ScrubOptions, monitor: OperationMonitor): Promise<ScrubReport> {
    const problem = await this.#findDamage(options, monitor)
    if (problem === undefined) {
      return await new ScrubPass(this.#parts, this.#bounds, options, monitor).run()
    }
    // By what such a database says nothing may be removed, and nothing more is written to it.
    const looking = { ...options, repair: false }
    return await new ScrubPass(this.#parts, this.#bounds, looking, monitor).run(problem)
  }

  async #findDamage(
    { skipsDatabase = false }: ScrubOptions,
    { signal, progress }: OperationMonitor,
  ): Promise<string | undefined> {
    const { metadata, damage } = this.#parts
    if (skipsDatabase) return undefined
    progress({ step: 'database', done: 0 })
    damage.database = await metadata.findDamage(signal)
    return damage.database
  }
}

class ScrubPass {
  readonly #parts: Parts
  readonly #bounds: Bounds
  readonly #options: ScrubOptions
  readonly #monitor: OperationMonitor
  readonly #problems: Record<ScrubProblem['problem'], number> = {
    database: 0,
    corrupt: 0,
    missing: 0,
    orphan: 0,
    incomplete: 0,
    references: 0,
    unreadable: 0,
  }
  #unrepaired = 0
  #blobs = 0
  #bytes = 0

  constructor(parts: Parts, bounds: Bounds, options: ScrubOptions, monitor: OperationMonitor) {
    this.#parts = parts
    this.#bounds = bounds
    this.#options = options
    this.#monitor = monitor
  }

  /** @param damage of the database. */
  async run(damage?: string): Promise<ScrubReport> {
    if (damage !== undefined) {
      await this.#tell({ problem: 'database', message: damage, repaired: false })
    }
    const { bytes: total } = await this.#parts.metadata.countContent()
    const rows = this.#listRows()
    for await (const { row, stored } of mergeByDigest(rows, this.#parts.blobs.listBlobs())) {
      this.#monitor.signal.throwIfAborted()
      await this.#look(row, stored)
      this.#monitor.progress({ step: 'bytes', done: this.#bytes, total })
    }
    const manifests = await new ManifestScrub(this.#parts, this.#bounds).run(
      this.#options,
      this.#monitor,
      (problem) => this.#tell(problem),
    )
    const { repair, keepsOrphans = false } = this.#options
    // Links that the database does not know of go, so not while they may tell of what is an orphan now.
    if (repair && !keepsOrphans) await this.#parts.links.tellAll()
    return {
      repair,
      blobs: this.#blobs,
      bytes: this.#bytes,
      manifests,
      problems: this.#problems,
      unrepaired: this.#unrepaired,
    }
  }

  async *#listRows(): AsyncGenerator<readonly BlobRecord[]> {
    let after: Digest | undefined
    for (;;) {
      const page = { limit: this.#bounds.rowsPerPage, ...(after && { after }) }
      const rows = await this.#parts.metadata.listContent(page)
      if (rows.length === 0) return
      yield rows
      after = rows.at(-1)?.digest
    }
  }

  async #look(row: BlobRecord | undefined, stored: StoredBlob | undefined): Promise<void> {
    if (row === undefined) {
      if (stored !== undefined) await this.#lookAtOrphan(stored)
      return
    }
    this.#blobs += 1
    if (stored === undefined) await this.#lookAtMissing(row)
    else await this.#lookAtBytes(row)
  }

  async #lookAtOrphan({ digest, size, modifiedAt }: StoredBlob): Promise<void> {
    const age = this.#parts.clock.now() - modifiedAt
    if (age < this.#bounds.orphanSecondsMin * 1000) return
    // A push may have made its row since the rows were read.
    if ((await this.#parts.metadata.findHolders(digest, 1)).length > 0) return
    const { repair, keepsOrphans = false } = this.#options
    const repaired = repair && !keepsOrphans
    if (repaired) await this.#parts.removal.removeContent([{ digest, size }])
    const kept = keepsOrphans
      ? '; it stays for this time, as the database was made anew: if nothing is missed, run it again'
      : ''
    const message = `${size} bytes that no repository has${kept}`
    await this.#tell({ problem: 'orphan', digest, message, repaired })
  }

  async #lookAtMissing(row: BlobRecord): Promise<void> {
    const { metadata, blobs } = this.#parts
    if ((await blobs.statBlob(row.digest)) !== undefined) return
    const repositories = await metadata.findHolders(row.digest, this.#bounds.holdersShownMax)
    // It was deleted meanwhile, or its bytes are about to be.
    if (repositories.length === 0) return
    await this.#damaged('missing', row.digest, 'its bytes are not there', repositories)
  }

  async #lookAtBytes({ digest, size }: BlobRecord): Promise<void> {
    const found = await this.#hash(digest).catch((error: unknown) =>
      this.#unreadable(digest, error),
    )
    if (found === undefined) return
    if (found.digest === digest) return await this.#compareSize(digest, { known: size, ...found })
    const { metadata } = this.#parts
    const repositories = await metadata.findHolders(digest, this.#bounds.holdersShownMax)
    if (this.#options.repair && !(await putAsideIfWrong(this.#parts, digest))) return
    const message =
      found.size === size
        ? `its ${size} bytes have the digest ${found.digest}`
        : `it has ${found.size} bytes in place of ${size}`
    await this.#damaged('corrupt', digest, message, repositories)
  }

  /** Bytes that are those of the digest are right, whatever the database has of their number. */
  async #compareSize(
    digest: Digest,
    { known, size }: { readonly known: number; readonly size: number },
  ): Promise<void> {
    if (size === known) return
    const { repair } = this.#options
    if (repair) await this.#parts.metadata.correctSize({ digest, size })
    const message = `the database has the size ${known} of what has ${size} bytes`
    await this.#tell({ problem: 'references', digest, message, repaired: repair })
  }

  /** What another registry has is fetched again when it is asked for. */
  async #damaged(
    problem: 'corrupt' | 'missing',
    digest: Digest,
    what: string,
    repositories: readonly string[],
  ): Promise<void> {
    this.#parts.damage.note('scrub')
    const isCached = repositories.length > 0 && repositories.every(isProxiedName)
    const isHandled = this.#options.repair || problem === 'missing'
    const advice = isCached ? 'it is fetched again when it is pulled' : 'push it again'
    await this.#tell({
      problem,
      digest,
      message: `${what}; ${isHandled ? advice : 'run trow scrub --repair'}`,
      repositories,
      repaired: isHandled && (isCached || repositories.length === 0),
    })
  }

  /** A disk that cannot read one file may well read the others. */
  async #unreadable(digest: Digest, error: unknown): Promise<undefined> {
    if (!(error instanceof OciError)) throw error
    this.#parts.damage.note('scrub')
    const repaired = this.#options.repair && (await putAsideIfUnreadable(this.#parts, digest, 0))
    const repositories = await this.#parts.metadata.findHolders(
      digest,
      this.#bounds.holdersShownMax,
    )
    const advice = repaired ? 'it is fetched again when it is pulled' : 'look at the disk'
    const message = `its bytes cannot be read: ${error.message}; ${advice}`
    await this.#tell({ problem: 'unreadable', digest, message, repositories, repaired })
  }

  /** @returns undefined when it was deleted meanwhile. */
  async #hash(digest: Digest): Promise<{ digest: Digest; size: number } | undefined> {
    await using reader = await this.#parts.blobs.openBlob(digest)
    if (reader === undefined) return undefined
    const digester = new Digester(digestAlgorithm(digest))
    for await (const chunk of reader.read()) {
      const started = performance.now()
      digester.update(chunk)
      this.#bytes += chunk.length
      await this.#keepRate(chunk.length, started)
    }
    return { size: digester.size, digest: digester.digest() }
  }

  async #keepRate(bytes: number, started: number): Promise<void> {
    const { rateBytes } = this.#options
    if (rateBytes === undefined) return
    const { signal } = this.#monitor
    const wait = (bytes / rateBytes) * 1000 - (performance.now() - started)
    if (wait > 0) await delay(wait, undefined, { signal })
  }

  async #tell(problem: ScrubProblem): Promise<void> {
    const { message, repaired, ...about } = problem
    this.#problems[problem.problem] += 1
    if (!repaired) this.#unrepaired += 1
    this.#parts.log[repaired ? 'warn' : 'error'](about, `found by a scrub: ${message}`)
    await this.#monitor.tell(problem)
  }
}
