/**
 * Writes the AdmissionReview that answers one, by the rules that the API server verifies: the uid and
 * the version of the request, no patch, a status of 400 or more with a refusal, and warnings within
 * its bounds, beyond which it would cut them.
 */
import { printable } from '../oci/upstream-error.ts'
import type { AdmissionRequest, ReviewHead, UnreadableReview } from './admission-request.ts'
import type { Finding, Review } from './review.ts'

/** The API server cuts each warning at 256 characters, and all of them at 4096. */
const warningLengthMax = 256
const warningsLengthMax = 4096
/** A message is for a person; all of the failures are in the causes. */
const shownMax = 20
const causesMax = 100
const textLengthMax = 1000

/** Refuses what could not be read. */
export function answerUnreadable({ problem, ...head }: UnreadableReview, code = 400): object {
  const message = `Invalid admission request: ${problem}`
  const reason = code === 413 ? 'RequestEntityTooLarge' : 'BadRequest'
  return answer(head, {
    allowed: false,
    status: { status: 'Failure', code, reason, message },
    auditAnnotations: { decision: 'invalid' },
  })
}

export function answerReview(request: AdmissionRequest, review: Review): object {
  const { decision, refused } = review
  const message = messageOf(review)
  return answer(request, {
    allowed: decision !== 'denied',
    ...(decision === 'denied' && { status: statusOf(request, refused, message) }),
    ...(decision === 'warned' && { warnings: warningsOf(refused) }),
    auditAnnotations: {
      decision,
      ...(message !== '' && { reason: shorten(message, textLengthMax) }),
    },
  })
}

function answer({ uid, apiVersion }: ReviewHead, response: object): object {
  return { apiVersion, kind: 'AdmissionReview', response: { uid, ...response } }
}

function statusOf(
  { kind, name }: AdmissionRequest,
  refused: readonly Finding[],
  message: string,
): object {
  const causes = refused.slice(0, causesMax).map((finding) => ({
    reason: finding.image === undefined ? 'FieldValueRequired' : 'FieldValueForbidden',
    message: shorten(explain(finding), textLengthMax),
    field: finding.field,
  }))
  return {
    status: 'Failure',
    code: 403,
    reason: 'Forbidden',
    message,
    details: { ...(name !== undefined && { name }), kind, ...(causes.length > 0 && { causes }) },
  }
}

/** One failure in Trow's words; of several each with its place. Empty when there is nothing to say. */
export function messageOf({ refused, reason }: Review): string {
  if (reason !== undefined) return reason
  const [first, ...others] = refused
  if (first === undefined) return ''
  if (others.length === 0) return shorten(explain(first), textLengthMax)
  const shown = refused.slice(0, shownMax).map(explainWithPlace)
  const rest = refused.length - shown.length
  return [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join('; ')
}

function explain({ image, field, reason }: Finding): string {
  return `${printable(shorten(image ?? field, warningLengthMax))}: ${reason}`
}

function explainWithPlace(finding: Finding): string {
  const text = shorten(explain(finding), textLengthMax)
  return finding.image === undefined ? text : `${text} (${finding.field})`
}

function warningsOf(refused: readonly Finding[]): string[] {
  const warnings: string[] = []
  let left = warningsLengthMax
  for (const finding of refused) {
    const warning = shorten(explainWithPlace(finding), warningLengthMax)
    left -= warning.length
    if (left < 0) break
    warnings.push(warning)
  }
  return warnings
}

/** Counted in halves of characters where the API server counts whole ones, so never too long. */
function shorten(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text
  return `${text.slice(0, lengthMax - 1).replace(/[\ud800-\udbff]$/, '')}…`
}
