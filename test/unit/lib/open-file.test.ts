import assert from 'node:assert/strict'
import { constants, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { OpenFile } from '../../../src/lib/open-file.ts'
import { openFilesUnder } from '../../support/open-files.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

describe('an open file', () => {
  test('that is closed while it is read is read to the end, and nothing of another one', async () => {
    await using directory = await temporaryDirectory()
    const [path, other] = [join(directory.path, 'a'), join(directory.path, 'b')]
    writeFileSync(path, Buffer.alloc(1_000_000, 'a'))
    writeFileSync(other, Buffer.alloc(1_000_000, 'b'))
    const file = await OpenFile.open(path, 'r')
    // More than there are threads: some have not begun when it is closed.
    const buffers = Array.from({ length: 64 }, () => Buffer.alloc(1_000_000))
    const reads = buffers.map((buffer) => file.read(buffer, 0, buffer.length, 0))
    file[Symbol.dispose]()
    // Would get its number.
    using _second = OpenFile.openNow(directory.path)
    using _third = await OpenFile.open(other, 'r')
    for (const { bytesRead } of await Promise.all(reads)) assert.equal(bytesRead, 1_000_000)
    for (const buffer of buffers) assert.ok(buffer.every((byte) => byte === 97))
    assert.ok(!(await openFilesUnder(directory.path)).includes(path))
  })

  test('is not used any more once it was closed', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'a')
    const file = await OpenFile.open(path, constants.O_RDWR | constants.O_CREAT)
    await file.writev([Buffer.from('one '), Buffer.from('two')], 0)
    await file.truncate(5)
    await file.datasync()
    assert.equal(file.stats.size, 5)
    file[Symbol.dispose]()
    await assert.rejects(file.writev([Buffer.from('three')], 0), /closed already/)
    await assert.rejects(file.sync(), /closed already/)
    assert.throws(() => file.stats, /closed already/)
    assert.equal(readFileSync(path, 'utf8'), 'one t')
  })
})
