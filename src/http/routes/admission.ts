/**
 * The validating webhook, `POST /validate-image`, as the API server calls it: no login, one
 * AdmissionReview in, one out, always 200, because any other status is a failure of the webhook rather
 * than a refusal. A review that is too large, too slow or unreadable is refused.
 */
import type { Admission, Answered } from '../../admission/admission.ts'
import { judgedKindNames } from '../../admission/judged-kinds.ts'
import { formatDuration, parseDuration } from '../../config/duration.ts'
import { InvalidSetting } from '../../config/invalid-setting.ts'
import { limits } from '../../config/limits.ts'
import { OciError } from '../../oci/errors.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Exchange, Route } from '../exchange.ts'
import type { Reply } from '../reply.ts'
import { readReviewBody } from '../review-body.ts'
import { logReview } from '../review-log.ts'

interface Verbs {
  readonly admission: Admission
  readonly metrics: Metrics
}

export function admissionRoutes(verbs: Verbs): Route[] {
  const post = {
    access: 'public',
    handle: (exchange: Exchange) => validateImage(verbs, exchange),
  } as const
  return [{ name: 'admission', pattern: '/validate-image', endpoints: { POST: post } }]
}

async function validateImage({ admission, metrics }: Verbs, exchange: Exchange): Promise<Reply> {
  requireJson(exchange.headers['content-type'])
  const seconds = secondsToAnswer(exchange.query.get('timeout'))
  const { bytes, missing } = await readReviewBody(exchange.body, {
    bytesMax: limits.reviewBytesMax,
    deadlineMs: seconds * 1000,
  })
  const started = performance.now()
  const answered =
    missing === undefined ? admission.answer(bytes) : refusePart(admission, bytes, missing, seconds)
  metrics.countReview(labelsOf(answered), (performance.now() - started) / 1000)
  logReview(exchange.context.log, answered)
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify(answered.answer),
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

function refusePart(
  admission: Admission,
  bytes: Uint8Array,
  missing: 'too large' | 'too late',
  seconds: number,
): Answered {
  return missing === 'too large'
    ? admission.refusePart(bytes, `it has more than ${limits.reviewBytesMax} bytes`, 413)
    : admission.refusePart(bytes, `it did not arrive within ${formatDuration(seconds)}`, 408)
}

const operations: readonly string[] = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT']

function labelsOf({ outcome }: Answered) {
  if ('unreadable' in outcome) return { decision: 'invalid', operation: 'other', kind: 'other' }
  const { kind, operation } = outcome.request
  return {
    decision: outcome.review.decision,
    operation: operations.includes(operation) ? operation : 'other',
    kind: judgedKindNames.has(kind) ? kind : 'other',
  }
}
