// What a benchmark is, what it is given, and what it answers.

import type { Scratch } from './scratch.ts'

export interface Benchmark {
  /** `npm run bench -- <name>` */
  readonly name: string
  readonly title: string
  /** What is done, in a sentence or two, for the reader of the results. */
  readonly method: string
  /** Why it cannot be run on this machine, and what to do; undefined if it can. */
  readonly whyNot?: () => string | undefined
  readonly run: (bench: Bench) => Promise<Outcome>
}

export interface Bench {
  readonly scratch: Scratch
  /** Trow, bundled as it is published: `node <program>`. */
  readonly program: string
  /** A smoke test: everything once and small; the numbers mean nothing. */
  readonly isQuick: boolean
  /** What takes longest, too. */
  readonly isFull: boolean
  /** Tells whoever watches. */
  readonly say: (text: string) => void
  /** These go into the results: a peer that is missing, for one. */
  readonly notes: Set<string>
}

export interface Outcome {
  readonly tables: readonly Table[]
  readonly aims: readonly Aim[]
}

export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export interface Aim {
  /** What is to hold: `manifest GET by tag, of nginx's rate`. */
  readonly about: string
  readonly atLeast?: number | undefined
  readonly atMost?: number | undefined
  readonly measured: number
  /** `x`, ` MiB`, ` ms` */
  readonly unit: string
}

export function isMet({ atLeast, atMost, measured }: Aim): boolean {
  return measured >= (atLeast ?? -Infinity) && measured <= (atMost ?? Infinity)
}
