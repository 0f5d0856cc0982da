/**
 * Keeps a webhook's certificate valid without anybody's help: under the authority that the replicas
 * share, believed by the API server through `caBundle`. Invariant: a certificate is only served when
 * the bundle had its authority at the check before, so that no call of the API server fails while
 * authorities change.
 */
import type { Clock } from '../registry/ports/clock.ts'
import type { AuthoritySecret, SharedAuthority } from './authority-secret.ts'
import { type Authority, isDue, issueLeaf, type Leaf } from './authority.ts'
import type { CaBundle } from './ca-bundle.ts'

interface Log {
  info(fields: object, message: string): void
  error(fields: object, message: string): void
}

interface Parts {
  readonly secret: Pick<AuthoritySecret, 'read'>
  readonly bundles: readonly Pick<CaBundle, 'read' | 'write'>[]
  /** Is told of each new certificate. */
  readonly use: (leaf: Leaf) => Promise<void> | void
  readonly clock: Clock
  readonly log: Log
}

interface Settings {
  readonly dnsNames: readonly string[]
  readonly leafSeconds: number
  readonly checkIntervalSeconds: number
}

/** A certificate, and the authority that it is under. */
interface Issued {
  readonly leaf: Leaf
  readonly authority: string
}

export class SelfManagedCertificate implements AsyncDisposable {
  readonly #parts: Parts
  readonly #settings: Settings
  #issued: Issued | undefined
  /** The current authority at the last check. */
  #seen: string | undefined
  #problem: string | undefined
  #timer: NodeJS.Timeout | undefined
  #check: Promise<void> = Promise.resolve()
  #isDisposed = false

  constructor(parts: Parts, settings: Settings) {
    this.#parts = parts
    this.#settings = settings
  }

  /** Why the API server may not believe the certificate, or there is none; undefined if all is well. */
  get problem(): string | undefined {
    return this.#issued === undefined
      ? (this.#problem ?? 'there is no certificate yet')
      : this.#problem
  }

  /**
   * Makes the first certificate, and looks after it from then on. Where the API cannot be reached yet, it
   * is tried again: whatever else the process does need not wait for that.
   */
  async start(): Promise<void> {
    await this.check()
    this.#schedule()
  }

  /** Looks at everything once more. Never rejects. */
  async check(): Promise<void> {
    try {
      await this.#prepare()
    } catch (error) {
      this.#report(error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    clearTimeout(this.#timer)
    await this.#check
  }

  #schedule(): void {
    if (this.#isDisposed) return
    this.#timer = setTimeout(() => {
      this.#check = this.check().then(() => this.#schedule())
    }, this.#settings.checkIntervalSeconds * 1000)
    this.#timer.unref()
  }

  /** @throws when the Secret cannot be read or written. */
  async #prepare(): Promise<void> {
    const { secret, clock } = this.#parts
    const shared = await secret.read(clock.now())
    const before = await this.#keepBundles(shared)
    await this.#keepLeaf(this.#chooseAuthority(shared, before))
  }

  /** @returns what the bundles were before, as far as that is known. */
  async #keepBundles(shared: SharedAuthority): Promise<(string | undefined)[]> {
    const { bundles, log } = this.#parts
    const wanted = shared.current.cert + (shared.previous?.cert ?? '')
    try {
      const before = await Promise.all(bundles.map((bundle) => bundle.read()))
      const changed = await Promise.all(bundles.map((bundle) => bundle.write(wanted)))
      if (changed.includes(true)) log.info({}, 'caBundle of the webhook configuration was written')
      if (this.#problem !== undefined) log.info({}, 'caBundle of the webhook is as it should be')
      this.#problem = undefined
      return before
    } catch (error) {
      this.#report(error)
      return [undefined]
    }
  }

  /**
   * The current one, if every bundle has had it since the check before: another replica may have
   * written it a moment ago, and the API server not know of it yet. Until then the one before.
   */
  #chooseAuthority(
    { current, previous }: SharedAuthority,
    before: readonly (string | undefined)[],
  ): Authority {
    const wasSeen = this.#seen === current.cert
    this.#seen = current.cert
    if (previous === undefined) return current
    const isKnown = before.every((bundle) => bundle?.includes(current.cert.trim()))
    return isKnown && wasSeen ? current : previous
  }

  async #keepLeaf(authority: Authority): Promise<void> {
    const { use, clock, log } = this.#parts
    const now = clock.now()
    const known = this.#issued
    if (known?.authority === authority.cert && !isDue(known.leaf.cert, now)) return
    const { dnsNames, leafSeconds } = this.#settings
    const leaf = await issueLeaf(authority, dnsNames, { now, seconds: leafSeconds })
    await use(leaf)
    this.#issued = { leaf, authority: authority.cert }
    log.info({ notAfter: leaf.notAfter, dnsNames }, 'the webhooks have a new certificate')
  }

  #report(error: unknown): void {
    const message = error instanceof Error ? error.message : 'unknown error'
    this.#problem = `the certificate authority of the webhook cannot be kept up to date: ${message}`
    this.#parts.log.error({ err: error }, `${this.#problem}; it is tried again`)
  }
}
