// Pieces of files that several readers share: what is read again, what is used again, and when memory is freed.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UnreadableContent } from '../../../src/registry/ports/blob-store.ts'
import { readRange } from '../../../src/storage/filesystem/read-range.ts'
import { type SharedFile, SharedReads } from '../../../src/storage/filesystem/shared-reads.ts'
import { patternBytes } from '../../support/bytes.ts'

const pieceBytes = 1_000

interface CountedFile extends SharedFile {
  /** First bytes of what was read, in order. */
  readonly reads: number[]
  /** Fails the next read. */
  failNext(error: Error): void
}

function fileOf(content: Uint8Array, identity = 'file'): CountedFile {
  const reads: number[] = []
  let failure: Error | undefined
  const read = (buffer: Buffer, _offset: number, length: number, position: number) => {
    reads.push(position)
    const error = failure
    failure = undefined
    if (error !== undefined) return Promise.reject(error)
    const bytes = content.subarray(position, position + length)
    buffer.set(bytes)
    return Promise.resolve({ bytesRead: bytes.length, buffer })
  }
  return {
    handle: { read },
    identity,
    reads,
    failNext: (error) => {
      failure = error
    },
  }
}

const content = patternBytes(4 * pieceBytes)
const starts = [0, 1_000, 2_000, 3_000]

function sharedReads(idlePieces: number, takenPieces = Infinity): SharedReads {
  return new SharedReads({
    bytes: pieceBytes,
    // A piece counts for a page at least.
    idleBytesMax: idlePieces * 4_096,
    takenBytesMax: takenPieces * pieceBytes,
    bytesMin: 10,
  })
}

function reader(file: SharedFile, reads: SharedReads, start = 0): AsyncGenerator<Uint8Array> {
  return readRange(file, { start, endInclusive: content.length - 1 }, reads)
}

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = []
  for await (const chunk of chunks) copies.push(Buffer.from(chunk))
  return Buffer.concat(copies)
}

describe('readers of one file', () => {
  test('at the same time read each piece of it once, and get all of it', async () => {
    const file = fileOf(content)
    const reads = sharedReads(0)
    const all = await Promise.all([1, 2, 3].map(() => readAll(reader(file, reads))))
    for (const bytes of all) assert.ok(bytes.equals(content))
    assert.deepEqual(file.reads, starts)
    assert.equal(reads.takenBytes, 0)
  })

  test('share it from the next piece on, wherever they began', async () => {
    const file = fileOf(content)
    const reads = sharedReads(4)
    const [all, rest] = await Promise.all([
      readAll(reader(file, reads)),
      readAll(reader(file, reads, 1_200)),
    ])
    assert.ok(all.equals(content))
    assert.ok(rest.equals(content.subarray(1_200)))
    assert.deepEqual(
      file.reads.toSorted((a, b) => a - b),
      [0, 1_000, 1_200, 2_000, 3_000],
    )
  })

  test('one after the other read what is still there from memory, the oldest goes first', async () => {
    const file = fileOf(content)
    const reads = sharedReads(2)
    await readAll(reader(file, reads))
    file.reads.length = 0
    assert.ok((await readAll(reader(file, reads, 2_000))).equals(content.subarray(2_000)))
    assert.deepEqual(file.reads, [])
    await readAll(reader(fileOf(content, 'another'), reads, 3_000))
    await readAll(reader(file, reads, 3_000))
    assert.deepEqual(file.reads, [])
    await readAll(readRange(file, { start: 2_000, endInclusive: 2_999 }, reads))
    assert.deepEqual(file.reads, [2_000])
  })

  test('do not get the bytes of a file of the same name that came later', async () => {
    const reads = sharedReads(4)
    await readAll(reader(fileOf(content, 'before'), reads))
    const other = patternBytes(content.length, 7)
    assert.ok((await readAll(reader(fileOf(other, 'after'), reads))).equals(other))
  })

  test('that grows get more than what was there for the first of them', async () => {
    const file = fileOf(content)
    const reads = sharedReads(4)
    const short = readRange(file, { start: 0, endInclusive: 99 }, reads)
    assert.equal((await short.next()).value?.length, 100)
    const later = reader(file, reads)
    assert.equal((await later.next()).value?.length, pieceBytes)
    await short.return(undefined)
    assert.ok((await readAll(reader(file, reads))).equals(content))
  })

  test('that asked for less of a piece get no more of it', async () => {
    const file = fileOf(content)
    const reads = sharedReads(4)
    await readAll(reader(file, reads))
    const part = readRange(file, { start: 1_000, endInclusive: 1_009 }, reads)
    assert.ok((await readAll(part)).equals(content.subarray(1_000, 1_010)))
  })

  test('all hear of a failure, and the next one reads again', async () => {
    const file = fileOf(content)
    const reads = sharedReads(4)
    file.failNext(Object.assign(new Error('broken'), { code: 'EIO', syscall: 'read' }))
    const results = await Promise.allSettled([1, 2].map(() => readAll(reader(file, reads))))
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    assert.equal(reads.takenBytes, 0)
    assert.ok((await readAll(reader(file, reads))).equals(content))
  })

  test('who come after a failure read again, though a slow one has not heard of it', async () => {
    const file = fileOf(content)
    const reads = sharedReads(4)
    const slow = reader(file, reads)
    const first = slow.next()
    file.failNext(Object.assign(new Error('broken'), { code: 'EIO', syscall: 'read' }))
    await first
    assert.ok((await readAll(reader(file, reads))).equals(content))
    await assert.rejects(readAll(slow), UnreadableContent)
    assert.equal(reads.takenBytes, 0)
  })
})

describe('the memory of a piece', () => {
  test('is not used again before its last reader is done with it', async () => {
    const file = fileOf(content)
    const reads = sharedReads(1)
    const slow = reader(file, reads)
    const held = (await slow.next()).value as Uint8Array
    const fast = reader(file, reads)
    await fast.next()
    await readAll(fast)
    await readAll(reader(fileOf(patternBytes(4_000, 3), 'another'), reads))
    assert.ok(Buffer.from(held).equals(content.subarray(0, pieceBytes)))
    assert.ok((await readAll(slow)).equals(content.subarray(pieceBytes)))
  })

  test('is left to whoever still sends it, when a reader breaks off', async () => {
    const file = fileOf(content)
    const reads = sharedReads(1)
    const broken = reader(file, reads)
    const sent = (await broken.next()).value as Uint8Array
    await broken.return(undefined)
    assert.equal(reads.takenBytes, 0)
    await readAll(reader(fileOf(patternBytes(4_000, 3), 'another'), reads))
    assert.ok(Buffer.from(sent).equals(content.subarray(0, pieceBytes)))
  })

  test('is given back once when there is none for the next piece', async () => {
    const reads = sharedReads(4)
    const broken = reader(fileOf(content), reads)
    await broken.next()
    reads.take = () => {
      throw new RangeError('Array buffer allocation failed')
    }
    await assert.rejects(broken.next(), RangeError)
    assert.equal(reads.takenBytes, 0)
  })

  test('is counted once, however many read it', async () => {
    const file = fileOf(content)
    const reads = sharedReads(0, 8)
    const readers = [1, 2, 3, 4].map(() => reader(file, reads))
    for (const each of readers) await each.next()
    assert.equal(reads.takenBytes, 2 * pieceBytes)
    for (const each of readers) await each.return(undefined)
    assert.equal(reads.takenBytes, 0)
  })

  const large = patternBytes(16_384)
  const largePiece = 8_192
  const ofLarge = (pieces: number, idlePieces = pieces): SharedReads =>
    new SharedReads({
      bytes: largePiece,
      idleBytesMax: idlePieces * largePiece,
      takenBytesMax: pieces * largePiece,
      bytesMin: 10,
    })

  test('is free at once when others need as much', async () => {
    const reads = ofLarge(8, 1)
    const file = fileOf(large)
    const [first, second] = [reads.take(file, 0, 16_384), reads.take(file, largePiece, 16_384)]
    const [firstBytes, secondBytes] = [await first.bytes, await second.bytes]
    await reads.release(first)
    await reads.release(second)
    assert.deepEqual([firstBytes.length, secondBytes.length], [0, largePiece])
    // Of another length, so that it cannot be read into that memory.
    await reads.release(reads.take(fileOf(large, 'another'), 0, 2_000))
    assert.equal(secondBytes.length, 0)
  })

  test('is as large as ever for many readers of one file, who have it in common', async () => {
    const reads = ofLarge(4)
    const file = fileOf(large)
    const ends = { start: 0, endInclusive: 16_383 }
    const readers = Array.from({ length: 9 }, () => readRange(file, ends, reads))
    for (const each of readers) assert.equal((await each.next()).value?.length, largePiece)
    for (const each of readers) await each.return(undefined)
    assert.deepEqual(file.reads, [0, largePiece])
  })

  test('that slow readers of one file hold leaves others pieces that are worth a read', async () => {
    const reads = ofLarge(8)
    const huge = fileOf(patternBytes(16 * largePiece), 'huge')
    const last = 16 * largePiece - 1
    const slow = [0, 4, 8, 12].map((piece) =>
      readRange(huge, { start: piece * largePiece, endInclusive: last }, reads),
    )
    for (const each of slow) await each.next()
    const lengths: number[] = []
    for await (const chunk of readRange(
      fileOf(large, 'another'),
      { start: 0, endInclusive: 16_383 },
      reads,
    )) {
      lengths.push(chunk.length)
    }
    assert.deepEqual(new Set(lengths), new Set([largePiece / 4]))
    for (const each of slow) await each.return(undefined)
    assert.equal(reads.takenBytes, 0)
  })

  test('is used again for what others read', async () => {
    const reads = ofLarge(8, 2)
    const file = fileOf(large)
    const pieces = [reads.take(file, 0, 16_384), reads.take(file, largePiece, 16_384)] as const
    const memory = (await pieces[0].bytes).buffer
    for (const piece of pieces) await reads.release(piece)
    const other = reads.take(fileOf(large, 'another'), 0, 16_384)
    assert.equal((await other.bytes).buffer, memory)
    await reads.release(reads.take(file, 0, 16_384))
    assert.deepEqual(file.reads, [0, largePiece, 0])
    await reads.release(other)
  })

  test('of many small ones is bounded, too', async () => {
    const reads = sharedReads(2)
    const files = [1, 2, 3].map((n) => fileOf(content, `${n}`))
    const small = (file: SharedFile) =>
      readAll(readRange(file, { start: 0, endInclusive: 4 }, reads))
    for (const file of files) await small(file)
    for (const file of files.toReversed()) await small(file)
    assert.deepEqual(
      files.map((file) => file.reads.length),
      [2, 1, 1],
    )
  })
})
