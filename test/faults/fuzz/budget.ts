// How long a fuzzer goes on: so many seconds where everybody waits for it, so many cases by hand
// (TROW_FUZZ_CASES); TROW_FUZZ_SEED repeats a run. A failure says which case it was.

import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Random } from '../../simulation/random.ts'

const cases = Number(process.env['TROW_FUZZ_CASES'] ?? 0)
const seed = Number(process.env['TROW_FUZZ_SEED'] ?? Math.floor(Math.random() * 1_000_000_000))

/** Far beyond what any of them needs: a parser whose time explodes passes it all the same. */
const slowestMsMax = 5_000

/** Calls `work` with one case after the other; each has a seed of its own, which a failure names. */
export async function fuzz(
  t: TestContext,
  seconds: number,
  work: (random: Random) => Promise<void> | void,
): Promise<void> {
  const started = performance.now()
  let slowest = 0
  let count = 0
  const isOver = (): boolean =>
    cases > 0 ? count >= cases : performance.now() - started > seconds * 1000
  for (; !isOver(); count += 1) {
    const caseSeed = seed + count
    const before = performance.now()
    try {
      const working = work(new Random(caseSeed))
      if (working !== undefined) await working
    } catch (error) {
      const repeat = `TROW_FUZZ_SEED=${caseSeed} TROW_FUZZ_CASES=1`
      throw new Error(`case ${count}; repeat with ${repeat}`, { cause: error })
    }
    const took = performance.now() - before
    assert.ok(took < slowestMsMax, `case ${count} (seed ${caseSeed}) took ${took} ms`)
    slowest = Math.max(slowest, took)
  }
  const rate = Math.round(count / ((performance.now() - started) / 1000))
  t.diagnostic(`${count} cases from seed ${seed}, ${rate}/s, slowest ${slowest.toFixed(1)} ms`)
}
