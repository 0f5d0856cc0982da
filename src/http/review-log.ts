/**
 * One line for each review: who asked for what where, each image that may not run with the rule that
 * says so, and the decision. What was allowed is logged at debug level, or a cluster's pods would be
 * most of the log.
 */
import type { AdmissionRequest } from '../admission/admission-request.ts'
import type { Answered } from '../admission/admission.ts'
import { messageOf } from '../admission/review-answer.ts'
import type { Finding, Review } from '../admission/review.ts'
import { placeOf } from '../admission/rule-set.ts'
import { limits } from '../config/limits.ts'
import type { Log } from '../registry/request-context.ts'

/** Longer texts are cut: they are the caller's to choose. */
const textLengthMax = 300

export function logReview(log: Log, { outcome }: Answered): void {
  if ('unreadable' in outcome) {
    const { uid, problem } = outcome.unreadable
    log.info({ uid, decision: 'invalid' }, `admission denied: ${problem}`)
    return
  }
  const { request, review } = outcome
  const { decision } = review
  const message = messageOf(review)
  const text = `admission ${decision}${message === '' ? '' : `: ${message.slice(0, 2 * textLengthMax)}`}`
  const isQuiet = decision === 'allowed' || decision === 'unjudged'
  log[isQuiet ? 'debug' : 'info'](fieldsOf(request, review), text)
}

function fieldsOf(request: AdmissionRequest, review: Review): object {
  const { uid, operation, subResource, isDryRun } = request
  const named = isRefusal(review) ? review.refused : review.findings
  const images = named.slice(0, limits.reviewImagesLoggedMax).map(describeFinding)
  const kind = request.group === '' ? request.kind : `${request.group}/${request.kind}`
  return {
    uid,
    decision: review.decision,
    operation: cut(operation),
    kind: cut(subResource === '' ? kind : `${kind}/${subResource}`),
    ...given('namespace', request.namespace),
    ...given('name', request.name),
    ...given('user', request.user),
    ...(isDryRun && { dryRun: true }),
    ...(images.length > 0 && { images }),
    ...(named.length > images.length && { moreImages: named.length - images.length }),
  }
}

function isRefusal({ refused }: Review): boolean {
  return refused.length > 0
}

function describeFinding({ field, image, names, reason, detail, rule }: Finding): object {
  return {
    field,
    ...given('image', image),
    // In full, where that is not how it was written; then what it stands for.
    ...(names.some((name) => name !== image) && { judgedAs: names }),
    reason,
    ...given('detail', detail),
    ...(rule !== undefined && { rule: `${placeOf(rule)} ${cut(rule.rule.image)}` }),
  }
}

function given(key: string, value: string | undefined): object {
  return value === undefined ? {} : { [key]: cut(value) }
}

function cut(text: string): string {
  return text.slice(0, textLengthMax)
}
