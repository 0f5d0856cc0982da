import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { forEachOf } from '../../../src/cli/concurrency.ts'
import { warmCommand } from '../../../src/cli/warm.ts'
import { WarmReport } from '../../../src/cli/warm-report.ts'
import { StartError } from '../../../src/lib/start-error.ts'
import { FakeTerminal } from '../../support/fake-terminal.ts'
import { FakeHost } from './fake-host.ts'

async function runWarm(args: readonly string[]): Promise<unknown> {
  const command = warmCommand(new FakeHost(), new FakeTerminal())
  command.exitOverride().configureOutput({ writeErr: () => undefined })
  return await command.parseAsync(args, { from: 'user' }).then(
    () => undefined,
    (error: unknown) => error,
  )
}

describe('trow warm refuses', () => {
  const usages: [what: string, args: string[], message: RegExp][] = [
    ['to warm nothing', [], /name the images, or a list of them/],
    ['nothing but wrong names', ['UPPER'], /invalid image reference "UPPER"/],
    ['a repository for a registry', ['a', '--registry', 'b.example/c'], /write b\.example$/],
    ['a wrong platform', ['a', '--platform', 'linux/amd64,linux'], /"linux" is no platform/],
    ['an empty platform', ['a', '--platform', 'linux/amd64,'], /"" is no platform/],
    ['a second use of standard input', ['-', '-u', 'x', '--password-stdin'], /cannot be both/],
  ]
  for (const [what, args, message] of usages) {
    test(`${what}, with exit code 2`, async () => {
      const error = await runWarm(args)
      assert.ok(error instanceof StartError)
      assert.match(error.message, message)
      assert.equal(error.exitCode, 2)
    })
  }

  const wrong: [args: string[], message: RegExp][] = [
    [['a', '--jobs', '0'], /expected a number from 1 to 32/],
    [['a', '--jobs', '33'], /expected a number from 1 to 32/],
    [['a', '--jobs', 'x'], /expected a number from 1 to 32/],
    [['a', '--format', 'xml'], /Allowed choices are text, json/],
  ]
  for (const [args, message] of wrong) {
    test(args.join(' '), async () => assert.match(String(await runWarm(args)), message))
  }

  test('lists that are empty or not there', async () => {
    assert.match(String(await runWarm(['-'])), /standard input names no image/)
    assert.match(String(await runWarm(['-f', '/no-such-file'])), /\/no-such-file does not exist/)
  })
})

describe('what trow warm says', () => {
  const image = 'a.example/b:1'

  test('is a line for each image and what came of all', () => {
    const report = new WarmReport('text')
    const platforms = ['linux/amd64', 'linux/arm64']
    const results = [
      { image, status: 'warmed', platforms, size: 3_000, fetchedSize: 1_000 },
      { image, status: 'present', size: 2_000, fetchedSize: 0, message: 'it may be old' },
      { image, status: 'skipped', message: 'own' },
      { image, status: 'failed', size: 1, fetchedSize: 500, message: 'gone\u001b[2J' },
    ] as const
    assert.deepEqual(
      results.map((result) => report.add(result)),
      [
        'warmed   a.example/b:1  linux/amd64, linux/arm64  3 kB, 1 kB fetched\n',
        'present  a.example/b:1  2 kB  it may be old\n',
        'skipped  a.example/b:1  own\n',
        'failed   a.example/b:1  gone [2J\n',
      ],
    )
    const summary = '4 images: 1 warmed, 1 already there, 1 skipped, 1 failed; 1.5 kB fetched\n'
    assert.equal(report.summary, summary)
    assert.equal(report.failed, 1)
  })

  test('is a JSON document for each image, and nothing else', () => {
    const report = new WarmReport('json')
    const result = { image, status: 'failed', message: 'no\nno' } as const
    const line = report.add(result)
    assert.deepEqual(JSON.parse(line), result)
    assert.match(line, /^[^\n]+\n$/)
    assert.equal(report.summary, '')
  })
})

describe('work on each of many things', () => {
  test('is done so many at a time, and begins with the next one when one ends', async () => {
    const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>())
    const begun: number[] = []
    const all = forEachOf([0, 1, 2, 3], 2, async (i) => {
      begun.push(i)
      await gates[i]?.promise
    })
    assert.deepEqual(begun, [0, 1])
    gates[1]?.resolve()
    await gates[1]?.promise
    await new Promise(setImmediate)
    assert.deepEqual(begun, [0, 1, 2])
    for (const { resolve } of gates) resolve()
    await all
    assert.deepEqual(begun, [0, 1, 2, 3])
  })

  test('is not begun any more after a failure, and what was begun is waited for', async () => {
    const begun: number[] = []
    const slow = Promise.withResolvers<void>()
    let ended = false
    const all = forEachOf([0, 1, 2, 3], 2, async (i) => {
      begun.push(i)
      if (i === 1) throw new Error('failed')
      await slow.promise
      ended = true
    })
    setImmediate(slow.resolve)
    await assert.rejects(all, /failed/)
    assert.deepEqual(begun, [0, 1])
    assert.equal(ended, true)
  })
})
