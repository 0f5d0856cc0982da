/**
 * Bytes that rotted on the disk are not served. When a blob is read for the first time it is hashed
 * beside that, once for all who read it, and nobody gets its end before the digest is known to be right.
 * After that it is read as it is, until what is known of it is too old or the process ends. What the disk
 * does not give while somebody reads is told and counted like other damage.
 */
import { LruCache } from '../lib/lru-cache.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { type Digest, digestAlgorithm, Digester } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { ContentLocks } from './content-locks.ts'
import type { KnownDamage } from './known-damage.ts'
import {
  type BlobReader,
  type BlobStore,
  type ByteRange,
  UnreadableContent,
} from './ports/blob-store.ts'
import type { Clock } from './ports/clock.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { BlobRecord } from './ports/records.ts'
import { healingOf } from './lost-content.ts'
import { putAsideIfUnreadable, putAsideIfWrong } from './put-aside.ts'
import type { Log } from './request-context.ts'

interface Parts {
  readonly metadata: Pick<MetadataStore, 'findHolders'>
  readonly blobs: BlobStore
  readonly locks: Pick<ContentLocks, 'whileRemoving'>
  readonly damage: KnownDamage
  readonly clock: Clock
  readonly log: Log
}

interface Settings {
  readonly rememberedMax: number
  readonly rememberedSeconds: number
}

export class ReadChecks implements AsyncDisposable {
  readonly #parts: Parts
  readonly #settings: Settings
  readonly #running = new SingleFlight<Digest, void>()
  /** When each was found to be right, in milliseconds since 1970. */
  readonly #right: LruCache<Digest, number>
  #isEnabled: boolean
  #isStopped = false
  /** What must end before the stores are closed. */
  readonly #underWay = new Set<Promise<void>>()

  constructor(parts: Parts, settings: Settings, isEnabled: boolean) {
    this.#parts = parts
    this.#settings = settings
    this.#right = new LruCache({ entriesMax: settings.rememberedMax })
    this.#isEnabled = isEnabled
  }

  reload(isEnabled: boolean): void {
    this.#isEnabled = isEnabled
  }

  /** Checks that are under way end without having found anything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true
    await Promise.allSettled(this.#underWay)
  }

  /**
   * The reader of a blob of the repository, or one in its place: whoever reads any of it starts the check,
   * whoever reads its last byte waits for the check's end.
   * @throws OciError UNAVAILABLE, from `read`, in place of the last bytes of a blob that is damaged.
   */
  watch(repository: RepositoryName, blob: BlobRecord, reader: BlobReader): BlobReader {
    return {
      size: reader.size,
      // Asked for each of several ranges: the first one may have it checked.
      read: (range) =>
        !this.#isEnabled || this.#isKnown(blob.digest)
          ? this.#readOn(repository, blob, reader, range)
          : this.#readChecked(repository, blob, reader, range),
      [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
    }
  }

  #isKnown(digest: Digest): boolean {
    const checkedAt = this.#right.get(digest)
    if (checkedAt === undefined) return false
    const age = this.#parts.clock.now() - checkedAt
    return age >= 0 && age < this.#settings.rememberedSeconds * 1000
  }

  async *#readChecked(
    repository: RepositoryName,
    blob: BlobRecord,
    reader: BlobReader,
    range: ByteRange | undefined,
  ): AsyncGenerator<Uint8Array> {
    const checked = this.#start(repository, blob)
    let position = range?.start ?? 0
    for await (const chunk of this.#readOn(repository, blob, reader, range)) {
      position += chunk.length
      if (position === blob.size) await checked
      yield chunk
    }
  }

  async *#readOn(
    repository: RepositoryName,
    blob: BlobRecord,
    reader: BlobReader,
    range: ByteRange | undefined,
  ): AsyncGenerator<Uint8Array> {
    let position = range?.start ?? 0
    try {
      for await (const chunk of reader.read(range)) {
        position += chunk.length
        yield chunk
      }
    } catch (error) {
      if (error instanceof OciError) await this.#unreadable(repository, blob, { error, position })
      throw error
    }
  }

  /** The bytes are put aside if they are wrong, or can be fetched again; else a scrub tells more. */
  async #unreadable(
    repository: RepositoryName,
    blob: BlobRecord,
    { error, position }: { readonly error: OciError; readonly position: number },
  ): Promise<void> {
    const { damage, log } = this.#parts
    const { digest } = blob
    damage.note('serving')
    const putAside =
      error instanceof UnreadableContent
        ? putAsideIfUnreadable(this.#parts, digest, position)
        : putAsideIfWrong(this.#parts, digest)
    const isAside = await putAside.catch(() => false)
    const advice = isAside ? healingOf(repository) : 'look at the disk, and run trow scrub'
    log.error(
      { err: error, repository, digest, position, quarantined: isAside },
      `the bytes of a blob cannot be read: ${error.message}; ${advice}`,
    )
  }

  #start(repository: RepositoryName, blob: BlobRecord): Promise<void> {
    const known = this.#running.has(blob.digest)
    const checked = this.#running.run(blob.digest, () => this.#check(repository, blob))
    if (known) return checked
    this.#underWay.add(checked)
    // Those who read only a part do not wait for it: its failure is then not unhandled.
    const forget = (): void => void this.#underWay.delete(checked)
    checked.then(forget, forget)
    return checked
  }

  async #check(repository: RepositoryName, blob: BlobRecord): Promise<void> {
    const { clock, damage, log } = this.#parts
    const { digest } = blob
    const actual = await this.#hash(digest)
    if (actual === digest) {
      this.#right.set(digest, clock.now())
      return
    }
    damage.note('serving')
    const isAside = await putAsideIfWrong(this.#parts, digest)
    const advice = healingOf(repository)
    log.error(
      { repository, digest, actual, quarantined: isAside },
      `the bytes of a blob are damaged: they have another digest; ${advice}`,
    )
    throw new OciError('UNAVAILABLE', {
      message: `the bytes of the blob are damaged; ${advice}`,
      detail: { digest },
    })
  }

  async #hash(digest: Digest): Promise<Digest> {
    await using reader = await this.#parts.blobs.openBlob(digest)
    if (reader === undefined) throw unchecked('it was removed meanwhile')
    const digester = new Digester(digestAlgorithm(digest))
    for await (const chunk of reader.read()) {
      if (this.#isStopped) throw unchecked('the registry is stopping')
      digester.update(chunk)
    }
    return digester.digest()
  }
}

function unchecked(why: string): OciError {
  return new OciError('UNAVAILABLE', { message: `a blob could not be checked: ${why}` })
}
