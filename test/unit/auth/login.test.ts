// Remembered, shared and throttled logins, with a counted password check in place of argon2.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Credentials } from '../../../src/auth/basic.ts'
import { LoginThrottle } from '../../../src/auth/login-throttle.ts'
import { Login } from '../../../src/auth/login.ts'
import { limits } from '../../../src/config/limits.ts'
import { OciError } from '../../../src/oci/errors.ts'

const address = '192.0.2.1'
const tooMany = { name: 'OciError', code: 'TOOMANYREQUESTS' }

function credentials(password: string, user = 'me'): Credentials {
  return { user: Buffer.from(user), password: Buffer.from(password) }
}

const right = credentials('right')

/** A password whose checks are counted and may be held up. */
function setUp({ gate = Promise.resolve() } = {}) {
  const clock = { ms: 0, now: () => clock.ms }
  const checked: string[] = []
  const password = {
    async verify(given: Credentials): Promise<boolean> {
      checked.push(given.password.toString())
      await gate
      return given.user.toString() === 'me' && given.password.toString() === 'right'
    },
  }
  const login = new Login(password, new LoginThrottle(clock))
  const failOften = async (): Promise<void> => {
    for (let i = 0; i < limits.loginFailuresMax; i += 1) {
      assert.equal(await login.verify(credentials(`wrong ${i}`), address), false)
    }
  }
  return { clock, checked, login, failOften }
}

test('credentials that were right once are not checked again', async () => {
  const { checked, login } = setUp()
  assert.equal(await login.verify(right, address), true)
  assert.equal(await login.verify(right, '192.0.2.2'), true)
  assert.deepEqual(checked, ['right'])
})

test('a wrong password that is repeated costs one check and locks nobody out', async () => {
  const { checked, login } = setUp()
  for (let i = 0; i < 5 * limits.loginFailuresMax; i += 1) {
    assert.equal(await login.verify(credentials('old'), address), false)
  }
  assert.deepEqual(checked, ['old'])
  assert.equal(await login.verify(right, address), true)
})

test('where name and password meet makes a difference', async () => {
  const { login } = setUp()
  assert.equal(await login.verify(right, address), true)
  assert.equal(await login.verify(credentials('eright', 'm'), address), false)
})

test('the same credentials at the same time are checked once and count as one failure', async () => {
  const gate = Promise.withResolvers<void>()
  const { checked, login } = setUp({ gate: gate.promise })
  const wrong = Array.from({ length: 100 }, () => login.verify(credentials('wrong'), address))
  const good = Array.from({ length: 100 }, (_, i) => login.verify(right, `192.0.2.${i}`))
  gate.resolve()
  assert.deepEqual(new Set(await Promise.all(wrong)), new Set([false]))
  assert.deepEqual(new Set(await Promise.all(good)), new Set([true]))
  assert.deepEqual(checked, ['wrong', 'right'])
  assert.equal(await login.verify(credentials('other'), address), false)
})

test('different guesses at the same time cannot slip past the bound', async () => {
  const gate = Promise.withResolvers<void>()
  const { checked, login } = setUp({ gate: gate.promise })
  const guesses = Array.from({ length: 50 }, (_, i) => login.verify(credentials(`${i}`), address))
  gate.resolve()
  const outcomes = await Promise.allSettled(guesses)
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
  assert.equal(refused.length, 50 - limits.loginFailuresMax)
  assert.equal(checked.length, limits.loginFailuresMax)
})

test('after too many failures nothing new is checked until the window is over', async () => {
  const { clock, checked, login, failOften } = setUp()
  await failOften()
  await assert.rejects(login.verify(right, address), tooMany)
  assert.equal(checked.length, limits.loginFailuresMax)
  assert.equal(await login.verify(right, '198.51.100.1'), true)
  clock.ms += limits.loginFailureWindowSeconds * 1000
  assert.equal(await login.verify(right, address), true)
})

test('a bad client does not lock out the good ones that share its address', async () => {
  const { login, failOften } = setUp()
  assert.equal(await login.verify(right, address), true)
  await failOften()
  for (let i = 0; i < 10 * limits.loginGuessesMax; i += 1) {
    await assert.rejects(login.verify(credentials('stale'), address), tooMany)
  }
  assert.equal(await login.verify(right, address), true)
})

test('guessing on gets no answer to whether a guess is right', async () => {
  const { login, failOften } = setUp()
  assert.equal(await login.verify(right, '198.51.100.1'), true)
  await failOften()
  for (let i = 0; i < limits.loginGuessesMax; i += 1) {
    await assert.rejects(login.verify(credentials(`guess ${i}`), address), tooMany)
  }
  await assert.rejects(login.verify(right, address), tooMany)
  assert.equal(await login.verify(right, '198.51.100.1'), true)
})

test('a check that could not be made is no failure', async () => {
  const overloaded = {
    verify: () => Promise.reject(new OciError('TOOMANYREQUESTS')),
  }
  const clock = { now: () => 0 }
  const throttle = new LoginThrottle(clock)
  const login = new Login(overloaded, throttle)
  for (let i = 0; i < 2 * limits.loginFailuresMax; i += 1) {
    await assert.rejects(login.verify(right, address), tooMany)
  }
  assert.equal(throttle.state(address), 'open')
})
