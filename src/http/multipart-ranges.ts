/** Several ranges in one answer: `multipart/byteranges` (RFC 9110, section 14.6), length known. */
import { randomBytes } from 'node:crypto'
import type { BlobReader, ByteRange } from '../registry/ports/blob-store.ts'
import type { StreamedBody } from './reply.ts'

export interface Multipart {
  readonly contentType: string
  readonly body: StreamedBody
}

/** The body owns the reader. */
export function multipartRanges(reader: BlobReader, ranges: readonly ByteRange[]): Multipart {
  const boundary = randomBytes(16).toString('hex')
  const parts = ranges.map((range) => ({
    range,
    head: Buffer.from(
      `\r\n--${boundary}\r\nContent-Type: application/octet-stream\r\n` +
        `Content-Range: ${contentRange(range, reader.size)}\r\n\r\n`,
    ),
  }))
  const end = Buffer.from(`\r\n--${boundary}--\r\n`)
  const length = parts.reduce(
    (sum, { range, head }) => sum + head.length + range.endInclusive - range.start + 1,
    end.length,
  )
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (const { range, head } of parts) {
      yield head
      yield* reader.read(range)
    }
    yield end
  }
  return {
    contentType: `multipart/byteranges; boundary=${boundary}`,
    body: { length, chunks, [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose]() },
  }
}

export function contentRange(range: ByteRange, size: number): string {
  return `bytes ${range.start}-${range.endInclusive}/${size}`
}
