/** A blob in transfer, whose client is held until somebody disposes of it. */
import type { UpstreamBlob } from '../registry/ports/upstream.ts'
import type { BlobAnswer } from './blob-answer.ts'

interface Holder {
  readonly release: () => void
  /** Told of all bytes that come. */
  readonly onBytes: (bytes: number) => void
}

export function heldBlob(blob: BlobAnswer, { release, onBytes }: Holder): UpstreamBlob {
  const { size, offset, chunks } = blob
  return {
    size,
    offset,
    chunks: counted(chunks, onBytes),
    async [Symbol.asyncDispose]() {
      try {
        await blob[Symbol.asyncDispose]()
      } finally {
        release()
      }
    },
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    onBytes(chunk.length)
    yield chunk
  }
}
