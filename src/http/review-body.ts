/**
 * Reads the body of an admission review up to its bound and its deadline. What is there by then is
 * handed over all the same: the refusal that follows needs the uid from its beginning.
 */
import type { RequestBody } from './request-body.ts'

export type MissingPart = 'too large' | 'too late' | 'too many'

export interface ReviewBody {
  readonly bytes: Uint8Array
  /** Why there is not all of it. */
  readonly missing?: MissingPart
}

interface Bounds {
  readonly bytesMax: number
  readonly deadlineMs: number
  /** Asked for each part of it that arrives. */
  readonly hasRoom: (bytes: number) => boolean
}

export async function readReviewBody(body: RequestBody, bounds: Bounds): Promise<ReviewBody> {
  const { promise: deadline, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), bounds.deadlineMs)
  try {
    return await readUntil(body, bounds, deadline)
  } finally {
    clearTimeout(timer)
  }
}

async function readUntil(
  body: RequestBody,
  { bytesMax, hasRoom }: Bounds,
  deadline: Promise<undefined>,
): Promise<ReviewBody> {
  const chunks: Uint8Array[] = []
  let size = 0
  const stream = body.stream()
  for (;;) {
    const next = stream.next()
    // Nobody waits for it after the deadline, and the connection may end before it does.
    next.catch(() => {})
    const chunk = await Promise.race([next, deadline])
    if (chunk === undefined) return { bytes: Buffer.concat(chunks), missing: 'too late' }
    if (chunk.done) return { bytes: Buffer.concat(chunks) }
    chunks.push(chunk.value)
    size += chunk.value.length
    if (size > bytesMax) return { bytes: Buffer.concat(chunks), missing: 'too large' }
    if (!hasRoom(chunk.value.length)) return { bytes: Buffer.concat(chunks), missing: 'too many' }
  }
}
