/** How often content was found that is not what its digest says, or is not there at all. */

export type DamageSource = 'serving' | 'scrub'

export class DamageCounts {
  readonly #counts: Record<DamageSource, number> = { serving: 0, scrub: 0 }

  get all(): Readonly<Record<DamageSource, number>> {
    return this.#counts
  }

  note(source: DamageSource): void {
    this.#counts[source] += 1
  }
}
