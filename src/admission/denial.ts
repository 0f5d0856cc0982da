/** A refusal, for whoever wants to tell people of it beside the answer to the API server. */
import { type AdmissionRequest, fieldOf } from './admission-request.ts'
import { messageOf } from './review-answer.ts'
import type { Review } from './review.ts'

/** What an event can be about. */
export interface DeniedObject {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid?: string
}

export interface Denial {
  readonly namespace: string
  readonly about: DeniedObject
  readonly message: string
}

/** @returns undefined for what was not refused, only tried (`--dry-run`), or is in no namespace. */
export function findDenial(request: AdmissionRequest, review: Review): Denial | undefined {
  const { namespace, isDryRun } = request
  if (review.decision !== 'denied' || isDryRun || namespace === undefined) return undefined
  return { namespace, about: findOwner(request) ?? itself(request), message: messageOf(review) }
}

/** The refused pod does not exist: who made it does, and is where people look. */
function findOwner({ object }: AdmissionRequest): DeniedObject | undefined {
  const owners = fieldOf(fieldOf(object, 'metadata'), 'ownerReferences')
  const list: readonly unknown[] = Array.isArray(owners) ? owners : []
  const owner = list.find((entry) => fieldOf(entry, 'controller') === true)
  const [apiVersion, kind, name, uid] = ['apiVersion', 'kind', 'name', 'uid'].map((key) => {
    const value = fieldOf(owner, key)
    return typeof value === 'string' && value !== '' ? value : undefined
  })
  if (apiVersion === undefined || kind === undefined || name === undefined) return undefined
  return { apiVersion, kind, name, ...(uid !== undefined && { uid }) }
}

function itself({ group, kind, name, object }: AdmissionRequest): DeniedObject {
  const generated = fieldOf(fieldOf(object, 'metadata'), 'generateName')
  const written = fieldOf(object, 'apiVersion')
  const assumed = group === '' ? 'v1' : `${group}/v1`
  return {
    apiVersion: typeof written === 'string' ? written : assumed,
    kind,
    name: name ?? (typeof generated === 'string' ? generated : kind.toLowerCase()),
  }
}
