// The bounds on concurrent password hashing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Argon2, argon2idSync } from '../../../src/auth/argon2.ts'

const salt = Buffer.alloc(16, 7)

test('the hash in the background is the one of the start', async () => {
  const password = Buffer.from('pässword')
  assert.deepEqual(await new Argon2().run(password, salt), argon2idSync(password, salt))
})

test('runs beyond the bound wait, those beyond the wait are refused at once, each time', async () => {
  const argon2 = new Argon2({ runsMax: 1, waitingMax: 1 })
  await threeAtOnce(argon2)
  await threeAtOnce(argon2)
})

async function threeAtOnce(argon2: Argon2): Promise<void> {
  const runs = ['first', 'second', 'third'].map((text) => argon2.run(Buffer.from(text), salt))
  const outcomes = await Promise.allSettled(runs)
  assert.deepEqual(
    outcomes.map((outcome) => outcome.status),
    ['fulfilled', 'fulfilled', 'rejected'],
  )
  const refused = outcomes[2]
  assert.ok(refused?.status === 'rejected')
  assert.equal(refused.reason.code, 'TOOMANYREQUESTS')
  assert.deepEqual(refused.reason.headers, { 'Retry-After': '1' })
}

test('a failed run gives its place back', async () => {
  const argon2 = new Argon2({ runsMax: 1, waitingMax: 0 })
  await assert.rejects(argon2.run(Buffer.from('x'), Buffer.alloc(0)))
  await argon2.run(Buffer.from('x'), salt)
})
