/**
 * `trow policy export`: the policy as a ValidatingAdmissionPolicy with its binding, to be applied with
 * `kubectl apply`, and what it does otherwise than the webhook.
 */
import { stringify } from 'yaml'
import { listExportGaps, makeCelPolicy } from '../admission/cel-policy.ts'
import type { PolicySettings } from '../admission/policy-settings.ts'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import type { Host } from './host.ts'

const name = 'trow-image-validation'

/** @throws StartError for a policy that does not fit. */
export function exportPolicy(policy: PolicySettings | undefined, host: Host): void {
  if (policy === undefined) throw new StartError('image_validation is not configured')
  const [celPolicy, binding] = makeCelPolicy(policy, name)
  const text = [celPolicy, binding]
    .map((object) => stringify(object, { lineWidth: 0 }))
    .join('---\n')
  if (text.length > limits.exportedPolicyLengthMax) {
    throw new StartError(
      `the policy is too long for CEL: ${text.length} characters, of which the API server takes ` +
        `${limits.exportedPolicyLengthMax}; use the webhook, or fewer rules`,
    )
  }
  const notes = listExportGaps(policy).map((gap) => `#   - ${gap}\n`)
  host.write('# Made by `trow policy export`. Otherwise than in the webhook:\n')
  host.write(`${notes.join('')}${text}`)
}
