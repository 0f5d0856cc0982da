// Several ranges in one answer (RFC 9110, section 14.6): the body is as long as it says, and a
// client that takes it apart finds the bytes that it asked for.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { contentRange, multipartRanges } from '../../../src/http/multipart-ranges.ts'
import type { BlobReader, ByteRange } from '../../../src/registry/ports/blob-store.ts'

class MemoryReader implements BlobReader {
  readonly #bytes: Buffer
  closed = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get size(): number {
    return this.#bytes.length
  }

  /** In pieces of three bytes, in a buffer that is used again, as the port allows. */
  async *read(range: ByteRange = { start: 0, endInclusive: this.size - 1 }) {
    const buffer = Buffer.alloc(3)
    for (let start = range.start; start <= range.endInclusive; start += buffer.length) {
      const end = Math.min(start + buffer.length, range.endInclusive + 1)
      const length = this.#bytes.copy(buffer, 0, start, end)
      yield buffer.subarray(0, length)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.closed += 1
    return Promise.resolve()
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = []
  for await (const chunk of chunks) copies.push(Buffer.from(chunk))
  return Buffer.concat(copies)
}

interface Part {
  readonly contentType: string
  readonly contentRange: string
  readonly bytes: Buffer
}

/** As a client would. */
function takeApart(body: Buffer, contentType: string): Part[] {
  const boundary = /^multipart\/byteranges; boundary=([0-9a-f]+)$/.exec(contentType)?.[1]
  assert.ok(boundary !== undefined, contentType)
  const sections = body.toString('latin1').split(`\r\n--${boundary}`)
  assert.equal(sections.shift(), '')
  assert.equal(sections.pop(), '--\r\n')
  return sections.map((section) => {
    const head = section.indexOf('\r\n\r\n')
    const header = (name: string): string =>
      new RegExp(`^${name}: (.*)$`, 'm').exec(section.slice(0, head))?.[1]?.trim() ?? ''
    return {
      contentType: header('Content-Type'),
      contentRange: header('Content-Range'),
      bytes: Buffer.from(section.slice(head + 4), 'latin1'),
    }
  })
}

test('a client finds the ranges it asked for, in its order, in a body of the announced length', async () => {
  const range = fc
    .tuple(fc.nat(99), fc.nat(99))
    .map(([a, b]) => ({ start: Math.min(a, b), endInclusive: Math.max(a, b) }))
  const bytes = fc.uint8Array({ minLength: 100, maxLength: 100 })
  await fc.assert(
    fc.asyncProperty(
      bytes,
      fc.array(range, { minLength: 2, maxLength: 5 }),
      async (bytes, ranges) => {
        const content = Buffer.from(bytes)
        const { contentType, body } = multipartRanges(new MemoryReader(content), ranges)
        const sent = await collect(body.chunks())
        assert.equal(sent.length, body.length)
        assert.deepEqual(
          takeApart(sent, contentType),
          ranges.map((range) => ({
            contentType: 'application/octet-stream',
            contentRange: `bytes ${range.start}-${range.endInclusive}/100`,
            bytes: content.subarray(range.start, range.endInclusive + 1),
          })),
        )
      },
    ),
  )
})

test('every answer has a boundary of its own', () => {
  const reader = new MemoryReader(Buffer.alloc(10))
  const types = Array.from({ length: 20 }, () => multipartRanges(reader, []).contentType)
  assert.equal(new Set(types).size, types.length)
})

test('the body owns the reader: it is closed once, read or not', async () => {
  const reader = new MemoryReader(Buffer.alloc(10))
  const { body } = multipartRanges(reader, [{ start: 0, endInclusive: 1 }])
  await body[Symbol.asyncDispose]()
  assert.equal(reader.closed, 1)
})

test('Content-Range says where the bytes are in the whole', () => {
  assert.equal(contentRange({ start: 5, endInclusive: 9 }, 10), 'bytes 5-9/10')
})
