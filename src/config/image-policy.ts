/** The policy that a configuration describes. */
import { Policy } from '../admission/policy.ts'
import type { Config } from './config.ts'

/** @returns undefined where none is configured. */
export function makePolicy({ imageValidation, hostnames }: Config): Policy | undefined {
  return imageValidation && new Policy(imageValidation, hostnames)
}
