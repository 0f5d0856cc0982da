import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatSeconds } from '../../../src/cli/format.ts'
import type { ReportedEndpoint, UpstreamsDocument } from '../../../src/cli/upstreams-document.ts'
import { failureLines, upstreamRows } from '../../../src/cli/upstreams-table.ts'

const noCounts = { hits: 0, misses: 0, stale: 0, failures: 0, savedBytes: 0 }
const time = '2026-08-01T12:00:00.000Z'
const host = 'a.example'

function documentOf(
  endpoints: readonly Partial<ReportedEndpoint>[],
  more: Partial<UpstreamsDocument> = {},
): UpstreamsDocument {
  const complete = endpoints.map((one) => ({ host, breaker: 'closed' as const, ...one }))
  const upstreams = [{ host, counts: noCounts, endpoints: complete }]
  return { time, offline: false, upstreams, other: noCounts, ...more }
}

function ago(seconds: number): string {
  return new Date(Date.parse(time) - 1000 * seconds).toISOString()
}

describe('the state of an upstream', () => {
  const until = ago(-90)
  const failure = { time: ago(5), message: 'no' }
  const cases: [endpoint: Partial<ReportedEndpoint>, check: string, state: string | RegExp][] = [
    [{}, '-', 'not asked yet'],
    [{ lastAnswer: ago(3) }, '3 s ago', 'ok'],
    [{ lastAnswer: ago(3), lastFailure: failure }, '3 s ago', 'ok'],
    [{ lastAnswer: ago(5), lastFailure: failure }, '5 s ago', 'ok'],
    [{ lastAnswer: ago(300), lastFailure: failure }, '5 s ago', 'failing'],
    [{ lastFailure: failure }, '5 s ago', 'failing'],
    [
      { lastFailure: failure, breaker: 'open', suspended: { until: ago(-8), reason: 'failures' } },
      '5 s ago',
      'failing, retried in 8 s',
    ],
    [
      { lastFailure: failure, breaker: 'half-open' },
      '5 s ago',
      'failing, tried again at the next pull',
    ],
    [{ suspended: { until, reason: 'rate-limit' } }, '-', /^rate-limited until \d\d:\d\d$/],
    [{ suspended: { until, reason: 'refused-login' } }, '-', /^login refused until \d\d:\d\d$/],
  ]
  for (const [endpoint, check, state] of cases) {
    test(`is "${String(state)}" for ${JSON.stringify(endpoint)}`, () => {
      const [row] = upstreamRows(documentOf([endpoint]))
      assert.equal(row?.[1], check)
      if (typeof state === 'string') assert.equal(row?.[2], state)
      else assert.match(row?.[2] ?? '', state)
    })
  }

  test('is "offline" for all of them when Trow is', () => {
    const rows = upstreamRows(documentOf([{ lastAnswer: ago(3) }], { offline: true }))
    assert.equal(rows[0]?.[2], 'offline')
  })

  test('has times of this machine, even when its clock is another one than Trow’s', () => {
    const now = new Date(2030, 0, 1, 8, 30).getTime()
    const document = documentOf([{ suspended: { until, reason: 'rate-limit' } }])
    assert.equal(upstreamRows(document, now)[0]?.[2], 'rate-limited until 08:31')
  })
})

test('an upstream that others stand in for has a row for each of them', () => {
  const document = documentOf([
    { host: 'mirror.example', lastAnswer: ago(1) },
    { rateLimit: { limit: 100, remaining: 7, windowSeconds: 21_600 } },
    { pathPrefix: 'team', rateLimit: { limit: 5, remaining: 0, windowSeconds: 0 } },
  ])
  const counts = ['0', '0', '0', '0', '0 B']
  const none = ['', '', '', '', '']
  assert.deepEqual(upstreamRows(document), [
    [host, '', '', '', ...counts],
    ['  mirror.example', '1 s ago', 'ok', '-', ...none],
    ['  a.example', '-', 'not asked yet', '7 of 100 / 6 h', ...none],
    ['  a.example/team', '-', 'not asked yet', '0 of 5', ...none],
  ])
})

test('what is not counted by name has a row of its own, if there is any', () => {
  const document = documentOf([], { other: { ...noCounts, failures: 3 } })
  assert.deepEqual(upstreamRows(document), [
    [host, '-', 'not asked yet', '-', '0', '0', '0', '0', '0 B'],
    ['others', '', '', '', '0', '0', '0', '3', '0 B'],
  ])
})

test('what failed last is told with its age', () => {
  const lastFailure = { time: ago(150), message: 'a.example answered 503' }
  const document = documentOf([{ pathPrefix: 'team', lastFailure }, {}])
  assert.deepEqual(failureLines(document), ['a.example/team, 3 min ago: a.example answered 503'])
})

describe('times are written in the unit that fits', () => {
  const cases: [seconds: number, text: string][] = [
    [0, '0 s'],
    [119, '119 s'],
    [120, '2 min'],
    [7_100, '118 min'],
    [21_600, '6 h'],
    [172_800, '2 d'],
  ]
  for (const [seconds, text] of cases) {
    test(`${seconds} s is ${text}`, () => assert.equal(formatSeconds(seconds), text))
  }
})
