/**
 * Decides on one review: which images it is about, which of them may run, and what becomes of it in the
 * mode that is set. What cannot be judged is refused, whatever the mode: a webhook that lets pass what
 * it does not understand protects from nothing.
 */
import { type AdmissionRequest, fieldOf } from './admission-request.ts'
import { type ImageField, listImageFields } from './image-fields.ts'
import { findJudgedKind, type JudgedKind } from './judged-kinds.ts'
import type { Judgement, Policy, Scope } from './policy.ts'
import type { PolicyMode } from './policy-settings.ts'

/**
 * `denied` alone keeps something from happening: `warned` and `audited` say what would have been
 * denied, `exempt` was not judged, `unjudged` holds nothing to judge.
 */
export type Decision = 'allowed' | 'denied' | 'warned' | 'audited' | 'exempt' | 'unjudged'

export interface Finding extends ImageField, Judgement {}

export interface Review {
  readonly decision: Decision
  /** Every image that was judged. */
  readonly findings: readonly Finding[]
  /** Those that may not run. */
  readonly refused: readonly Finding[]
  /** Why the whole of it is refused or exempt, where the images are not the reason. */
  readonly reason?: string
}

export interface ReviewBounds {
  readonly imagesMax: number
}

export const reviewReasons = {
  notConfigured: 'Image validation not configured',
  noPod: 'No pod in pod admission request',
  missing: 'Image is missing',
} as const

const kindLengthMax = 100

/** @param policy undefined where none is configured: then nothing may run. */
export function reviewRequest(
  request: AdmissionRequest,
  policy: Policy | undefined,
  bounds: ReviewBounds,
): Review {
  const { operation, group, kind, namespace } = request
  // Both carry no new image: they remove an object, or connect to one that runs already.
  if (operation === 'DELETE' || operation === 'CONNECT') return unjudged
  if (policy === undefined) return refuse(reviewReasons.notConfigured)
  const exemption = policy.findExemption(request)
  if (exemption !== undefined) return { ...unjudged, decision: 'exempt', reason: exemption }
  const judged = findJudgedKind(group, kind)
  if (judged === undefined) {
    const name = group === '' ? kind : `${group}/${kind}`
    return refuse(`unsupported kind: ${JSON.stringify(name.slice(0, kindLengthMax))}`)
  }
  const scope = policy.findScope(namespace)
  if (judged.isTemplate && scope.validateWorkloads === 'off') return unjudged
  return reviewObject(request, judged, { policy, scope, bounds })
}

interface Judging {
  readonly policy: Policy
  readonly scope: Scope
  readonly bounds: ReviewBounds
}

const unjudged: Review = { decision: 'unjudged', findings: [], refused: [] }

function refuse(reason: string): Review {
  return { decision: 'denied', findings: [], refused: [], reason }
}

function reviewObject(request: AdmissionRequest, kind: JudgedKind, judging: Judging): Review {
  const { object, oldObject, operation } = request
  const isUpdate = operation === 'UPDATE'
  // What is being deleted starts nothing any more, and its finalizers have to be removed.
  const isTerminating = fieldOf(fieldOf(oldObject, 'metadata'), 'deletionTimestamp') ?? false
  if (isUpdate && isTerminating !== false) return unjudged
  const spec = follow(object, kind.path) ?? undefined
  if (spec === undefined)
    return kind.isTemplate && isPresent(object) ? unjudged : refuse(noObject(kind))
  const { imagesMax } = judging.bounds
  const { fields, problem } = listImageFields(spec, kind.path.join('.'), imagesMax)
  if (problem !== undefined) return refuse(problem)
  const known = isUpdate ? imagesOf(oldObject, kind, imagesMax) : undefined
  const introduced = fields.filter(({ image }) => !known?.has(image))
  const findings = introduced.map((field) => judge(field, judging))
  const refused = findings.filter(({ isAllowed }) => !isAllowed)
  return { decision: decide(refused, kind, judging.scope), findings, refused }
}

function noObject({ isTemplate }: JudgedKind): string {
  return isTemplate ? 'No object in admission request' : reviewReasons.noPod
}

function isPresent(object: unknown): boolean {
  return object !== undefined && object !== null
}

function follow(object: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => fieldOf(value, key), object)
}

/** What the object had before, wherever in it: an image that may stay need not be judged again. */
function imagesOf(object: unknown, { path }: JudgedKind, imagesMax: number) {
  const { fields } = listImageFields(follow(object, path), '', imagesMax)
  return new Set(fields.map(({ image }) => image))
}

function judge(field: ImageField, { policy, scope }: Judging): Finding {
  const { image } = field
  if (image !== undefined) return { ...field, ...policy.judge(image, scope) }
  return { ...field, isAllowed: false, reason: reviewReasons.missing, names: [] }
}

function decide(refused: readonly Finding[], kind: JudgedKind, scope: Scope): Decision {
  if (refused.length === 0) return 'allowed'
  // A template may leave its image to whoever completes its pods, so by itself that is no reason.
  const isOnlyMissing = kind.isTemplate && refused.every(({ image }) => image === undefined)
  const isWarning = (kind.isTemplate && scope.validateWorkloads === 'warn') || isOnlyMissing
  return isWarning && scope.mode === 'enforce' ? 'warned' : decisions[scope.mode]
}

const decisions: Readonly<Record<PolicyMode, Decision>> = {
  enforce: 'denied',
  warn: 'warned',
  audit: 'audited',
}
