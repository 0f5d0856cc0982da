/** What was found to be damaged since the start: content, by who found it, and the database. */

export type DamageSource = 'serving' | 'scrub'

export class KnownDamage {
  /** What is wrong with the database, as the last scrub found it. */
  database: string | undefined
  readonly #counts: Record<DamageSource, number> = { serving: 0, scrub: 0 }

  /** How often content was found that is not what its digest says, or is not there at all. */
  get counts(): Readonly<Record<DamageSource, number>> {
    return this.#counts
  }

  note(source: DamageSource): void {
    this.#counts[source] += 1
  }
}
