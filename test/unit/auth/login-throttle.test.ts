// The two steps of slowing failed logins down, against a clock that the test moves.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LoginThrottle } from '../../../src/auth/login-throttle.ts'
import { limits } from '../../../src/config/limits.ts'

const windowMs = limits.loginFailureWindowSeconds * 1000

function setUp() {
  const clock = { ms: 5_000, now: () => clock.ms }
  const throttle = new LoginThrottle(clock)
  const fail = (address: string, times: number = limits.loginFailuresMax): void => {
    for (let i = 0; i < times; i += 1) throttle.countFailure(address)
  }
  return { clock, throttle, fail }
}

test('an address is slowed after so many failures and free when the window is over', () => {
  const { clock, throttle, fail } = setUp()
  fail('192.0.2.1', limits.loginFailuresMax - 1)
  assert.equal(throttle.state('192.0.2.1'), 'open')
  fail('192.0.2.1', 1)
  assert.equal(throttle.state('192.0.2.1'), 'slowed')
  assert.equal(throttle.state('192.0.2.2'), 'open')
  clock.ms += windowMs - 1
  assert.equal(throttle.state('192.0.2.1'), 'slowed')
  clock.ms += 1
  assert.equal(throttle.state('192.0.2.1'), 'open')
})

test('the window starts with the first failure, and the refusal says how long it lasts', () => {
  const { clock, throttle, fail } = setUp()
  fail('192.0.2.1')
  clock.ms += windowMs - 1_500
  const error = throttle.refuse('192.0.2.1', 'key')
  assert.equal(error.code, 'TOOMANYREQUESTS')
  assert.equal(error.status, 429)
  assert.deepEqual(error.headers, { 'Retry-After': '2' })
})

test('a failure that was none is taken back', () => {
  const { throttle, fail } = setUp()
  const takeBack = throttle.countFailure('192.0.2.1')
  fail('192.0.2.1', limits.loginFailuresMax - 1)
  assert.equal(throttle.state('192.0.2.1'), 'slowed')
  takeBack()
  assert.equal(throttle.state('192.0.2.1'), 'open')
})

test('a client that repeats one wrong credential never closes its address, one that guesses does', () => {
  const { clock, throttle, fail } = setUp()
  fail('192.0.2.1')
  for (let i = 0; i < 10 * limits.loginGuessesMax; i += 1) throttle.refuse('192.0.2.1', 'the same')
  assert.equal(throttle.state('192.0.2.1'), 'slowed')
  for (let i = 0; i < limits.loginGuessesMax - 1; i += 1) throttle.refuse('192.0.2.1', `guess ${i}`)
  assert.equal(throttle.state('192.0.2.1'), 'closed')
  clock.ms += windowMs
  assert.equal(throttle.state('192.0.2.1'), 'open')
})

test('addresses of one IPv6 network count together, and IPv4 in any notation', () => {
  const { throttle, fail } = setUp()
  fail('2001:db8::1')
  assert.equal(throttle.state('2001:db8::ffff:1'), 'slowed')
  assert.equal(throttle.state('2001:db8:0:1::1'), 'open')
  fail('::ffff:192.0.2.1')
  assert.equal(throttle.state('192.0.2.1'), 'slowed')
})

test('no more addresses are kept than the bound, the latest ones', () => {
  const { throttle, fail } = setUp()
  fail('192.0.2.1')
  for (let i = 0; i < limits.loginAddressesMax; i += 1) {
    throttle.countFailure(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  }
  assert.equal(throttle.state('192.0.2.1'), 'open')
})
