// Random choices that a seed repeats.

/** The generator mulberry32: small, and good enough to choose steps with. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A number from 0 up to, not including, `below`. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)]
    if (choice === undefined) throw new Error('nothing to choose from')
    return choice
  }

  /** Some of the choices, each at most once. */
  some<T>(choices: readonly T[], max: number): T[] {
    const left = [...choices]
    const count = this.below(Math.min(max, left.length) + 1)
    return Array.from({ length: count }, () => left.splice(this.below(left.length), 1)).flat()
  }
}
