// Rounds in which each subject has its turn, so that whatever else the machine does meanwhile meets
// all of them alike, and the medians of what they gave.

export interface Subject<T> {
  readonly name: string
  readonly measure: () => Promise<T>
}

/** What each subject gave, by name, one entry for each round. */
export type Rounds<T> = ReadonlyMap<string, readonly T[]>

/** Every round begins with another subject. */
export async function interleave<T>(
  rounds: number,
  subjects: readonly Subject<T>[],
): Promise<Rounds<T>> {
  const results = new Map<string, T[]>(subjects.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < subjects.length; turn += 1) {
      const subject = subjects[(round + turn) % subjects.length]
      if (subject !== undefined) results.get(subject.name)?.push(await subject.measure())
    }
  }
  return results
}

/** NaN if one of them is. */
export function median(values: readonly number[]): number {
  if (values.some(Number.isNaN)) return Number.NaN
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low = Number.NaN, high = Number.NaN] = [
    sorted[Math.ceil(sorted.length / 2) - 1],
    sorted[middle],
  ]
  return (low + high) / 2
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? Number.NaN
}

/** How a series goes on: the median of its last third beside that of the second third. */
export function growthOf(values: readonly number[]): number {
  const third = Math.floor(values.length / 3)
  return median(values.slice(2 * third)) / median(values.slice(third, 2 * third))
}

/** The median of one number of what a subject gave. */
export function medianOf<T>(rounds: Rounds<T>, name: string, pick: (value: T) => number): number {
  return median((rounds.get(name) ?? []).map(pick))
}

/** The median of the ratios of each round: noise that lasts longer than a round falls out. */
export function ratioOf<T>(
  rounds: Rounds<T>,
  [name, to]: readonly [string, string],
  pick: (value: T) => number,
): number {
  const others = rounds.get(to) ?? []
  const ratios = (rounds.get(name) ?? []).map((value, round) => {
    const other = others[round]
    return other === undefined ? Number.NaN : pick(value) / pick(other)
  })
  return median(ratios)
}
