/** Writes the AdmissionReview that answers one to the mutating webhook: always allowed, perhaps patched. */
import { printable } from '../oci/upstream-error.ts'
import type { ReviewHead } from './admission-request.ts'

/** The API server cuts each warning at 256 characters, and all of them at 4096. */
const warningLengthMax = 256
const warningsMax = 16

interface Answer {
  readonly warnings?: readonly string[]
  /** Operations of a JSON patch (RFC 6902). */
  readonly patch?: readonly object[]
}

export function answerMutation({ uid, apiVersion }: ReviewHead, answer: Answer): object {
  const { warnings = [], patch } = answer
  const shown = warnings
    .slice(0, warningsMax)
    .map((warning) => printable(warning).slice(0, warningLengthMax))
  return {
    apiVersion,
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed: true,
      ...(shown.length > 0 && { warnings: shown }),
      ...(patch && {
        patchType: 'JSONPatch',
        patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
      }),
    },
  }
}
