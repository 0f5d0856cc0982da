// Comparing a login with the configured one: any bytes, the same work for every wrong answer.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Argon2 } from '../../../src/auth/argon2.ts'
import { Password } from '../../../src/auth/password.ts'
import { limits } from '../../../src/config/limits.ts'

/** Counts the work. */
class CountingArgon2 extends Argon2 {
  runs = 0

  override run(message: Buffer, nonce: Buffer): Promise<Buffer> {
    this.runs += 1
    return super.run(message, nonce)
  }
}

async function isRight(set: [string, string], given: [string, string | Buffer]): Promise<boolean> {
  const password = new Password({ name: set[0], password: set[1] }, new Argon2())
  return password.verify({ user: Buffer.from(given[0]), password: Buffer.from(given[1]) })
}

for (const word of ['pass', 'a:b:', 'pässwörd €', ' blank ', 'null\0byte', 'x'.repeat(4096)]) {
  test(`a password may be ${JSON.stringify(word.slice(0, 20))}, and only that is right`, async () => {
    assert.equal(await isRight(['me', word], ['me', word]), true)
    assert.equal(await isRight(['me', word], ['me', `${word.slice(0, -1)}?`]), false)
  })
}

test('a wrong name with the right password is wrong', async () => {
  assert.equal(await isRight(['me', 'pass'], ['Me', 'pass']), false)
  assert.equal(await isRight(['me', 'pass'], ['', 'pass']), false)
})

test('bytes that are no UTF-8 are wrong, not an error', async () => {
  assert.equal(await isRight(['me', 'pass'], ['me', Buffer.from([0xff, 0xfe])]), false)
})

test('an empty password is wrong even where it is the one that is set', async () => {
  assert.equal(await isRight(['me', ''], ['me', '']), false)
})

test('an unknown user costs the same work as a known one, an endless password none', async () => {
  const argon2 = new CountingArgon2()
  const password = new Password({ name: 'me', password: 'pass' }, argon2)
  await password.verify({ user: Buffer.from('stranger'), password: Buffer.from('pass') })
  assert.equal(argon2.runs, 1)
  const endless = Buffer.alloc(limits.passwordBytesMax + 1, 'x')
  assert.equal(await password.verify({ user: Buffer.from('me'), password: endless }), false)
  assert.equal(argon2.runs, 1)
})
