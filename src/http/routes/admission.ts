/**
 * The validating webhook, `POST /validate-image`, as the API server calls it: no login, one
 * AdmissionReview in, one out, always 200, because any other status is a failure of the webhook rather
 * than a refusal. A review that is too large, too slow or unreadable is refused.
 */
import type { Admission, Answered } from '../../admission/admission.ts'
import { judgedKindNames } from '../../admission/judged-kinds.ts'
import { formatDuration } from '../../config/duration.ts'
import { limits } from '../../config/limits.ts'
import { findDenial, type Denial } from '../../admission/denial.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Exchange, Route } from '../exchange.ts'
import type { Reply } from '../reply.ts'
import type { MissingPart } from '../review-body.ts'
import { readReview, type ReviewBodies } from '../review-request.ts'
import { logReview } from '../review-log.ts'

export interface AdmissionVerbs {
  readonly bodies: ReviewBodies
  readonly admission: Admission
  readonly metrics: Metrics
  /** Told of what was refused; absent where nobody wants to know. */
  readonly denials?: { tell(denial: Denial): void }
}

export function admissionRoutes(verbs: AdmissionVerbs): Route[] {
  const post = {
    access: 'public',
    handle: (exchange: Exchange) => validateImage(verbs, exchange),
  } as const
  return [{ name: 'admission', pattern: '/validate-image', endpoints: { POST: post } }]
}

async function validateImage(
  { admission, metrics, denials, bodies }: AdmissionVerbs,
  exchange: Exchange,
): Promise<Reply> {
  using review = await readReview(exchange, bodies)
  const { bytes, missing } = review
  const started = performance.now()
  const answered =
    missing === undefined
      ? admission.answer(bytes)
      : admission.refusePart(bytes, ...whyRefused(missing, review.seconds))
  metrics.countReview(labelsOf(answered), (performance.now() - started) / 1000)
  logReview(exchange.context.log, answered)
  const denial = denialOf(answered)
  if (denial !== undefined) denials?.tell(denial)
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify(answered.answer),
  }
}

function denialOf({ outcome }: Answered): Denial | undefined {
  return 'unreadable' in outcome ? undefined : findDenial(outcome.request, outcome.review)
}

function whyRefused(missing: MissingPart, seconds: number): [problem: string, code: number] {
  switch (missing) {
    case 'too large':
      return [`it has more than ${limits.reviewBytesMax} bytes`, 413]
    case 'too late':
      return [`it did not arrive within ${formatDuration(seconds)}`, 408]
    case 'too many':
      return ['too many reviews arrive at once; try again', 429]
  }
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
