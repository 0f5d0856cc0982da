import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UpstreamError } from '../../../src/oci/upstream-error.ts'
import { networkError } from '../../../src/upstream/network-error.ts'
import { retrying, type RetryPolicy } from '../../../src/upstream/retry.ts'
import { type FakeAnswer, fakeRequest, FakeSend } from '../../support/fake-send.ts'
import { FakeTimer } from '../../support/fake-timer.ts'

const policy: RetryPolicy = {
  attempts: 4,
  backoffMsMin: 100,
  backoffMsMax: 300,
  retryAfterMsMax: 5_000,
}
const url = 'https://r.example/v2/'

function reset(code = 'ECONNRESET'): UpstreamError {
  return networkError(new URL(url), Object.assign(new Error('reset'), { code }))
}

function setUp(random: () => number, ...answers: (FakeAnswer | Error)[]) {
  const fake = new FakeSend(...answers)
  const timer = new FakeTimer()
  return { fake, timer, send: retrying(fake.send, { policy, timer, random }) }
}

describe('requests are repeated', () => {
  test('after each failure that passes, with growing backoff, until one is answered', async () => {
    const answers = [{ status: 503 }, reset(), { status: 500 }, { status: 200 }]
    const { fake, timer, send } = setUp(() => 1, ...answers)
    const response = await send(fakeRequest(url))
    assert.equal(response.status, 200)
    assert.equal(fake.requests.length, 4)
    assert.deepEqual(timer.waits, [100, 200, 300])
  })

  test('after half the backoff at least, so that chance cannot make it nothing', async () => {
    const { timer, send } = setUp(() => 0, { status: 503 }, { status: 200 })
    await send(fakeRequest(url))
    assert.deepEqual(timer.waits, [50])
  })

  test('after the upstream’s own Retry-After, in seconds or as a date', async () => {
    const date = new Date(Date.parse('2026-01-01T00:00:05Z')).toUTCString()
    const answers = [
      { status: 429, headers: { 'retry-after': '2' } },
      { status: 429, headers: { 'retry-after': date } },
      { status: 200 },
    ]
    const { timer, send } = setUp(() => 1, ...answers)
    await send(fakeRequest(url))
    assert.deepEqual(timer.waits, [2_000, 3_000])
  })
})

describe('requests are not repeated', () => {
  const once: [what: string, answer: FakeAnswer | Error][] = [
    ['a success', { status: 200 }],
    ['not found', { status: 404 }],
    ['a refused login', { status: 401 }],
    ['a redirect', { status: 307 }],
    ['a Retry-After over the bound', { status: 429, headers: { 'retry-after': '6' } }],
    ['a refused connection', reset('ECONNREFUSED')],
    ['a time-out', reset('UND_ERR_HEADERS_TIMEOUT')],
    ['an untrusted certificate', reset('DEPTH_ZERO_SELF_SIGNED_CERT')],
    ['an error that is a bug', new TypeError('bug')],
  ]
  for (const [what, answer] of once) {
    test(`after ${what}`, async () => {
      const { fake, send } = setUp(() => 1, answer, { status: 200 })
      await send(fakeRequest(url)).catch((error: unknown) => assert.equal(error, answer))
      assert.equal(fake.requests.length, 1)
    })
  }

  test('more often than the policy says: then the last answer stands', async () => {
    const { fake, send } = setUp(() => 1, { status: 502 })
    assert.equal((await send(fakeRequest(url))).status, 502)
    assert.equal(fake.requests.length, 4)
  })

  test('more often than the policy says: then the last error is thrown', async () => {
    const error = reset()
    const { fake, send } = setUp(() => 1, error)
    await assert.rejects(send(fakeRequest(url)), error)
    assert.equal(fake.requests.length, 4)
  })

  test('when they are POST', async () => {
    const { fake, send } = setUp(() => 1, { status: 503 })
    await send(fakeRequest(url, { method: 'POST' }))
    assert.equal(fake.requests.length, 1)
  })

  test('once the caller has gone', async () => {
    const { fake, send } = setUp(() => 1, { status: 503 })
    const reason = new Error('gone')
    await assert.rejects(send(fakeRequest(url, { signal: AbortSignal.abort(reason) })), reason)
    assert.equal(fake.requests.length, 1)
  })
})
