import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { flightOf, isLoop, makeProxyName, withSelf } from '../../../src/registry/proxy-chain.ts'

const [a, b, c] = ['a', 'b', 'c'].map((letter) => `trow-${letter.repeat(16)}`) as [
  string,
  string,
  string,
]

describe('a question waits for those of others', () => {
  const cases: [via: string[], name: string, waits: boolean][] = [
    [[], a, true],
    [['1.1 proxy.example.com'], a, true],
    [[`1.1 ${a}`], b, true],
    [[`1.1 ${a}`, '1.1 zzz', `1.1 ${b}`], c, true],
    [[`1.1 ${b}`], a, false],
    [[`1.1 ${b}`, `1.1 ${a}`], c, false],
    [[`1.1 ${c}`, `1.1 ${a}`], b, false],
  ]
  for (const [via, name, waits] of cases) {
    test(`${waits ? 'at' : 'not at'} ${name}, after ${via.join(', ') || 'nobody'}`, () => {
      assert.equal(flightOf(via, name) === '', waits)
      if (!waits) assert.equal(flightOf(via, name), flightOf([...via], name), 'but for its equals')
    })
  }
})

interface Question {
  readonly at: number
  readonly via: readonly string[]
  answered: boolean
  /** Whose answer it waits for. */
  waitsFor: number | undefined
}

test('registries whose endpoints lead anywhere never wait for each other', () => {
  const bounds = { hopsMax: 8, entriesMax: 32 }
  const registries = fc.integer({ min: 1, max: 6 }).chain((count) =>
    fc.record({
      next: fc.array(fc.nat(count - 1), { minLength: count, maxLength: count }),
      // In which order questions arrive.
      order: fc.array(fc.nat(), { maxLength: 60 }),
    }),
  )
  fc.assert(
    fc.property(registries, ({ next, order }) => {
      const names = next.map(() => makeProxyName())
      // All of them are asked for the same thing by clients of their own.
      const questions: Question[] = next.map((_, at) => ({
        at,
        via: [],
        answered: false,
        waitsFor: undefined,
      }))
      const flights = next.map(() => new Map<string, number>())
      const arriving = questions.map((_, index) => index)
      for (let step = 0; arriving.length > 0; step++) {
        const [index = 0] = arriving.splice((order[step] ?? 0) % arriving.length, 1)
        const question = questions[index]!
        const { at, via } = question
        const name = names[at]!
        if (isLoop(via, name, bounds)) {
          question.answered = true
          continue
        }
        const key = flightOf(via, name)
        const leader = flights[at]!.get(key)
        if (leader !== undefined) {
          question.waitsFor = leader
          continue
        }
        flights[at]!.set(key, index)
        question.waitsFor = questions.length
        arriving.push(questions.length)
        questions.push({
          at: next[at]!,
          via: withSelf(via, name),
          answered: false,
          waitsFor: undefined,
        })
      }
      for (let left = questions.length; left > 0; left--) {
        for (const question of questions) {
          question.answered ||= questions[question.waitsFor ?? -1]?.answered === true
        }
      }
      assert.ok(questions.every(({ answered }) => answered))
    }),
  )
})
