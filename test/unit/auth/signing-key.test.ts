// The key file: made once, found again, closed to others, never overwritten.

import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadSigningKey, signingKeyFile } from '../../../src/auth/signing-key.ts'
import { StartError } from '../../../src/lib/start-error.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

test('the first start makes a key for the owner only, the next finds it', async () => {
  await using directory = await temporaryDirectory()
  const first = await loadSigningKey(directory.path)
  assert.equal(first.key.length, 32)
  assert.deepEqual(first.warnings, [])
  const path = join(directory.path, signingKeyFile)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.deepEqual(await readdir(directory.path), [signingKeyFile])
  assert.deepEqual((await loadSigningKey(directory.path)).key, first.key)
})

test('processes that start at the same time agree on one key', async () => {
  await using directory = await temporaryDirectory()
  const starts = Array.from({ length: 16 }, () => loadSigningKey(directory.path))
  const keys = (await Promise.all(starts)).map(({ key }) => Buffer.from(key).toString('hex'))
  assert.equal(new Set(keys).size, 1)
  assert.deepEqual(await readdir(directory.path), [signingKeyFile])
})

test('a key that everybody could read is closed, and the operator told', async () => {
  await using directory = await temporaryDirectory()
  await loadSigningKey(directory.path)
  const path = join(directory.path, signingKeyFile)
  await chmod(path, 0o644)
  const { warnings } = await loadSigningKey(directory.path)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /was open to every user .* delete the file and restart/)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})

test('the rights that Kubernetes gives to the group are taken back without a word', async () => {
  await using directory = await temporaryDirectory()
  await loadSigningKey(directory.path)
  const path = join(directory.path, signingKeyFile)
  await chmod(path, 0o660)
  assert.deepEqual((await loadSigningKey(directory.path)).warnings, [])
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})

for (const length of [0, 31, 33]) {
  test(`a file of ${length} bytes is refused and left alone`, async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, signingKeyFile)
    await writeFile(path, Buffer.alloc(length, 'x'))
    await assert.rejects(loadSigningKey(directory.path), (error) => {
      assert.ok(error instanceof StartError)
      assert.match(error.message, new RegExp(`it has ${length} bytes instead of 32; restore`))
      return true
    })
    assert.equal((await readFile(path)).length, length)
  })
}

test('what cannot be read or made says so in one line', async () => {
  await using directory = await temporaryDirectory()
  await mkdir(join(directory.path, signingKeyFile))
  for (const path of [directory.path, join(directory.path, 'missing')]) {
    await assert.rejects(loadSigningKey(path), (error) => {
      assert.ok(error instanceof StartError)
      assert.match(error.message, /^cannot use the token signing key [^\n]*: E[A-Z]+[^\n]*$/)
      return true
    })
  }
})
