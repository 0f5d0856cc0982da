/**
 * A review as it arrives at a webhook: JSON, within the time that the API server waits, and within what
 * all reviews that arrive at once may take.
 */
import { parseDuration } from '../config/duration.ts'
import { InvalidSetting } from '../config/invalid-setting.ts'
import { limits } from '../config/limits.ts'
import { OciError } from '../oci/errors.ts'
import type { Exchange } from './exchange.ts'
import { type MissingPart, readReviewBody } from './review-body.ts'

/** Memory of the reviews that are being read and answered. */
export class ReviewBodies {
  readonly #bytesMax: number
  #bytes = 0

  constructor(settings: { bytesMax: number }) {
    this.#bytesMax = settings.bytesMax
  }

  /** @returns whether there is room for so many more. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#bytesMax) return false
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }
}

/** To be disposed of when it was answered. */
export interface ReadReview extends Disposable {
  readonly bytes: Uint8Array
  /** Why there is not all of it. */
  readonly missing?: MissingPart
  /** That the API server waits for the answer. */
  readonly seconds: number
}

/** @throws OciError UNSUPPORTED for what is no JSON */
export async function readReview(exchange: Exchange, bodies: ReviewBodies): Promise<ReadReview> {
  requireJson(exchange.headers['content-type'])
  const seconds = secondsToAnswer(exchange.query.get('timeout'))
  let taken = 0
  const give = (): void => bodies.give(taken)
  try {
    const body = await readReviewBody(exchange.body, {
      bytesMax: limits.reviewBytesMax,
      deadlineMs: seconds * 1000,
      hasRoom: (bytes) => {
        if (!bodies.take(bytes)) return false
        taken += bytes
        return true
      },
    })
    return { ...body, seconds, [Symbol.dispose]: give }
  } catch (error) {
    give()
    throw error
  }
}

/** @throws OciError UNSUPPORTED */
function requireJson(contentType: string | undefined): void {
  if (/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(contentType ?? '')) return
  throw new OciError('UNSUPPORTED', {
    status: 415,
    message: 'an AdmissionReview is expected, with Content-Type: application/json',
  })
}

/** What the API server waits (`?timeout=10s`), less a little for the way back. */
function secondsToAnswer(timeout: string | null): number {
  const seconds = timeout === null ? undefined : readSeconds(timeout)
  const waited = Math.min(seconds ?? limits.reviewSecondsDefault, limits.reviewSecondsMax)
  return waited * 0.9
}

function readSeconds(timeout: string): number | undefined {
  try {
    return parseDuration(timeout)
  } catch (error) {
    if (error instanceof InvalidSetting) return undefined
    throw error
  }
}
