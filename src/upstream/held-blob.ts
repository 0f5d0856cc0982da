/** A blob in transfer, whose client is held until somebody disposes of it. */
import type { UpstreamBlob } from '../registry/ports.ts'
import type { BlobAnswer } from './blob-answer.ts'

export function heldBlob(blob: BlobAnswer, release: () => void): UpstreamBlob {
  const { size, offset, chunks } = blob
  return {
    size,
    offset,
    chunks,
    async [Symbol.asyncDispose]() {
      try {
        await blob[Symbol.asyncDispose]()
      } finally {
        release()
      }
    },
  }
}
