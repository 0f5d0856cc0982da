/**
 * Keeps the links as the database has it. Each change is noted in its own transaction; whoever waits for
 * `sync` knows that the links of everything that was committed before are durable. What a crash leaves
 * undone is noted still, and done at the next start. A link is always told as the database has it at
 * that moment, by one writer, so the last that is told of it is right.
 */
import type { Scan, Scanned } from './ports/collection-metadata.ts'
import type { LinkChange } from './ports/link-metadata.ts'
import type { Link, LinkEntry, LinkStore } from './ports/link-store.ts'
import type { MetadataStore } from './ports/metadata-store.ts'
import type { Log } from './request-context.ts'

interface Parts {
  readonly metadata: Pick<
    MetadataStore,
    | 'lastLinkChange'
    | 'listLinkChanges'
    | 'forgetLinkChanges'
    | 'scanManifests'
    | 'scanTags'
    | 'scanBlobs'
  >
  readonly links: LinkStore
  readonly log: Log
}

interface Settings {
  /** Links that are told at once. */
  readonly perWriteMax: number
  readonly rowsPerPage: number
  /** How often notes that were dealt with are dropped, and those that nobody waits for looked at. */
  readonly tidySeconds: number
  /** They are told anew when they take this much more than twice what they took then. */
  readonly slackBytes: number
}

export class LinkKeeper implements AsyncDisposable {
  readonly #parts: Parts
  readonly #settings: Settings
  /** Up to here all that was noted is told. */
  #synced = 0
  #forgotten = 0
  #bytesAnew: number
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #telling: Promise<void> = Promise.resolve()
  #tidying: Promise<void> = Promise.resolve()
  #isStopping = false

  constructor(parts: Parts, settings: Settings) {
    this.#parts = parts
    this.#settings = settings
    this.#bytesAnew = parts.links.bytes
  }

  /** Begins with what is noted still. */
  start(): void {
    this.#plan(0)
  }

  /** @throws when it cannot be told now; it stays noted. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#begin()
    // What runs may have looked before the caller's change was there.
    this.#next ??= this.#running.then(
      () => this.#begin(),
      () => this.#begin(),
    )
    return this.#next
  }

  /** Tells all of them anew, one after the other who asks for it. @throws when they cannot be told now. */
  tellAll(): Promise<void> {
    const told = this.#telling.then(async () => {
      const { links } = this.#parts
      await links.replace(this.#listLinks())
      this.#bytesAnew = links.bytes
    })
    this.#telling = told.catch(() => undefined)
    return told
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    clearTimeout(this.#timer)
    await this.#tidying
    await this.#tidy()
  }

  #begin(): Promise<void> {
    this.#next = undefined
    this.#running = this.#write().finally(() => (this.#running = undefined))
    return this.#running
  }

  async #write(): Promise<void> {
    const { metadata, links } = this.#parts
    const upTo = await metadata.lastLinkChange()
    while (this.#synced < upTo) {
      const page = { after: this.#synced, upTo, limit: this.#settings.perWriteMax }
      const changes = await metadata.listLinkChanges(page)
      const entries = latestOf(changes)
      if (entries.length > 0) await links.append(entries)
      this.#synced = changes.at(-1)?.id ?? upTo
    }
  }

  #plan(seconds: number): void {
    if (this.#isStopping) return
    this.#timer = setTimeout(() => {
      this.#tidying = this.#tidy().then(() => this.#plan(this.#settings.tidySeconds))
    }, seconds * 1000)
    this.#timer.unref()
  }

  /** Never rejects. */
  async #tidy(): Promise<void> {
    const { metadata, links, log } = this.#parts
    try {
      await this.sync()
      if (this.#synced !== this.#forgotten) await metadata.forgetLinkChanges(this.#synced)
      this.#forgotten = this.#synced
      if (this.#isStopping || links.bytes <= 2 * this.#bytesAnew + this.#settings.slackBytes) return
      await this.tellAll()
    } catch (error) {
      log.error(
        { err: error },
        'links (the record of manifests and tags beside the database) cannot be written now; see to ' +
          'the disk and the data directory: it is tried again',
      )
    }
  }

  async *#listLinks(): AsyncGenerator<readonly Link[]> {
    const { metadata } = this.#parts
    for await (const page of this.#pages((scan) => metadata.scanBlobs(scan))) {
      yield page.map((blob) => ({ ...blob, reference: blob.digest, mediaType: '' }))
    }
    for await (const page of this.#pages((scan) => metadata.scanManifests(scan))) {
      yield page.map((manifest) => ({ ...manifest, reference: manifest.digest }))
    }
    for await (const page of this.#pages((scan) => metadata.scanTags(scan))) {
      yield page.map(({ tag, ...link }) => ({ ...link, reference: tag }))
    }
  }

  async *#pages<T>(look: (scan: Scan) => Promise<Scanned<T>>): AsyncGenerator<readonly T[]> {
    let after: string | undefined
    do {
      const rows = this.#settings.rowsPerPage
      const { found, next } = await look({ rows, ...(after !== undefined && { after }) })
      yield found
      after = next
    } while (after !== undefined)
  }
}

/** Of several changes of one link the last one stands for all. */
function latestOf(changes: readonly LinkChange[]): LinkEntry[] {
  const latest = new Map(
    changes.map(({ entry }) => [`${entry.repository} ${entry.reference}`, entry]),
  )
  return [...latest.values()]
}
