import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { limits } from '../../../src/config/limits.ts'
import { ProgressLines } from '../../../src/cli/progress-lines.ts'
import { FakeTerminal } from '../../support/fake-terminal.ts'

function setUp(columns?: number) {
  const terminal = new FakeTerminal(columns)
  const clock = { now: 0 }
  const things = { noun: 'images', total: 4 }
  return { terminal, clock, progress: new ProgressLines(terminal, things, () => clock.now) }
}

const none = `[${' '.repeat(24)}]`
const half = `[${'='.repeat(12)}${' '.repeat(12)}]`

describe('the progress of several things', () => {
  test('has a bar for each and one for all, and is drawn again in its place', () => {
    const { terminal, clock, progress } = setUp(80)
    const one = progress.begin('one')
    one.expect(2_000)
    assert.equal(terminal.errors, '')
    clock.now = 1_000
    one.advance(1_000)
    const bar = `${half} 1 kB of 2 kB        `
    assert.equal(terminal.errors, `${bar} one\n${none} 0/4 images`)
    terminal.errors = ''
    clock.now = 2_000
    one[Symbol.dispose]()
    const quarter = `[${'='.repeat(6)}${' '.repeat(18)}]`
    assert.equal(terminal.errors, `\r\u001b[1A\u001b[J${quarter} 1/4 images`)
    terminal.errors = ''
    progress[Symbol.dispose]()
    assert.equal(terminal.errors, '\r\u001b[J')
  })

  test('makes room for what is written meanwhile', () => {
    const { terminal, clock, progress } = setUp(80)
    clock.now = 1_000
    progress.begin('one')
    terminal.errors = ''
    progress.write('done\n')
    assert.equal(terminal.output, 'done\n')
    const bars = `${none} ${' '.repeat(20)} one\n${none} 0/4 images`
    assert.equal(terminal.errors, `\r\u001b[1A\u001b[J${bars}`)
  })

  test('never wraps, and never takes more than so many lines', () => {
    const { terminal, clock, progress } = setUp(30)
    for (let i = 0; i < 100; i++) progress.begin(`image-${i}\u001b[2J`)
    clock.now = 1_000
    progress.write('')
    const lines = terminal.errors.split('\n')
    assert.equal(lines.length, limits.progressLinesMax + 1)
    for (const line of lines) assert.ok(line.length < 30, line)
  })

  test('is not drawn where standard error is no terminal', () => {
    const { terminal, clock, progress } = setUp()
    clock.now = 5_000
    progress.begin('one').advance(1)
    progress[Symbol.dispose]()
    assert.equal(terminal.errors, '')
  })
})
