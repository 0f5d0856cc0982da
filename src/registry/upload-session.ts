/** What is true of a chunk before its first byte is taken: it must continue where the session is. */
import { OciError } from '../oci/errors.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { ByteRange } from './ports/blob-store.ts'
import type { UploadRecord } from './ports/records.ts'

/** One request's body, and what its headers say of it. */
export interface Chunk {
  readonly bytes: AsyncIterable<Uint8Array>
  /** Content-Length; undefined for a body of unknown length. */
  readonly length?: number
  /** Content-Range; undefined for a body that just continues. */
  readonly range?: ByteRange
}

export function uploadLocation(repository: RepositoryName, id: string): string {
  return `/v2/${repository}/blobs/uploads/${id}`
}

/** The `Range` header of a session: inclusive, so an empty session says `0-0` like one of a byte. */
export function uploadRange(offset: number): string {
  return `0-${Math.max(0, offset - 1)}`
}

/** @throws OciError RANGE_INVALID (416) with where the session is, SIZE_INVALID. */
export function checkChunk(upload: UploadRecord, chunk: Chunk): void {
  const { range, length } = chunk
  if (range === undefined) return
  const rangeLength = range.endInclusive - range.start + 1
  if (length !== undefined && length !== rangeLength) {
    throw new OciError('SIZE_INVALID', {
      message: `Content-Range spans ${rangeLength} bytes but Content-Length is ${length}`,
    })
  }
  if (range.start !== upload.offset) {
    throw rangeInvalid(
      upload,
      `the chunk starts at byte ${range.start} but the session continues at byte ${upload.offset}`,
    )
  }
}

export function rangeInvalid(upload: UploadRecord, message: string): OciError {
  return new OciError('RANGE_INVALID', {
    message,
    detail: { offset: upload.offset },
    headers: {
      Location: uploadLocation(upload.repository, upload.id),
      Range: uploadRange(upload.offset),
      'Docker-Upload-UUID': upload.id,
    },
  })
}
