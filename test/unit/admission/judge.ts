// Judging single images by a policy, for the tests of this folder.

import { type Judgement, Policy } from '../../../src/admission/policy.ts'
import { type PolicyChoice, policySettings } from '../../support/admission.ts'

export const ownHost = 'trow.example.com'

export function makePolicy(choice: PolicyChoice): Policy {
  return new Policy(policySettings(choice), [ownHost])
}

export function judge(choice: PolicyChoice, image: string, namespace?: string): Judgement {
  const policy = makePolicy(choice)
  return policy.judge(image, policy.findScope(namespace))
}

/** Whether the rules allow an image that nothing else would. */
export function isAllowedBy(allow: readonly string[], image: string): boolean {
  return judge({ allow }, image).isAllowed
}

/** Whether the rules deny an image that would be allowed otherwise. */
export function isDeniedBy(deny: readonly string[], image: string): boolean {
  return !judge({ default: 'Allow', deny }, image).isAllowed
}
