/**
 * Reads an AdmissionReview (admission.k8s.io/v1 and v1beta1) as the API server sends it. Nothing in it
 * is trusted: each field is looked at where it is used, own properties only, and one that is not what
 * it should be counts as absent, or as a reason to refuse.
 */

export const reviewVersions = ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'] as const

export type ReviewVersion = (typeof reviewVersions)[number]

/** What an answer has to repeat. */
export interface ReviewHead {
  /** Empty when it could not be read. */
  readonly uid: string
  readonly apiVersion: ReviewVersion
}

export interface AdmissionRequest extends ReviewHead {
  readonly group: string
  readonly kind: string
  readonly subResource: string
  readonly operation: string
  readonly name?: string
  readonly namespace?: string
  readonly user?: string
  readonly groups: readonly string[]
  readonly isDryRun: boolean
  readonly object: unknown
  readonly oldObject: unknown
}

/** A body that is no review; it is answered all the same, and refused. */
export interface UnreadableReview extends ReviewHead {
  readonly problem: string
}

export interface RequestBounds {
  readonly groupsMax: number
}

/** Kubernetes' own are 36 characters; who sends a longer one gets it back nowhere. */
const uidLengthMax = 256

export function readAdmissionRequest(
  body: unknown,
  { groupsMax }: RequestBounds,
): AdmissionRequest | UnreadableReview {
  const request = fieldOf(body, 'request')
  const head = readHead(fieldOf(request, 'uid'), fieldOf(body, 'apiVersion'))
  const problem = findProblem(body, head)
  if (problem !== undefined) return { ...head, problem }
  const kind = fieldOf(request, 'kind')
  const user = fieldOf(request, 'userInfo')
  return {
    ...head,
    group: textOf(kind, 'group') ?? '',
    kind: textOf(kind, 'kind') ?? '',
    subResource: textOf(request, 'subResource') ?? '',
    operation: textOf(request, 'operation') ?? '',
    ...given('name', textOf(request, 'name')),
    ...given('namespace', textOf(request, 'namespace')),
    ...given('user', textOf(user, 'username')),
    groups: listOf(user, 'groups')
      .slice(0, groupsMax)
      .filter((group) => typeof group === 'string'),
    isDryRun: fieldOf(request, 'dryRun') === true,
    object: fieldOf(request, 'object'),
    oldObject: fieldOf(request, 'oldObject'),
  }
}

/** The version is echoed; where it is none that there is, the answer is in the current one. */
export function readHead(uid: unknown, apiVersion: unknown): ReviewHead {
  const isUid = typeof uid === 'string' && uid.length <= uidLengthMax
  return {
    uid: isUid ? uid : '',
    apiVersion: reviewVersions.find((version) => version === apiVersion) ?? reviewVersions[0],
  }
}

function findProblem(body: unknown, { uid, apiVersion }: ReviewHead): string | undefined {
  if (fieldOf(body, 'kind') !== 'AdmissionReview') return 'it is no AdmissionReview'
  if (fieldOf(body, 'apiVersion') !== apiVersion) {
    return `its apiVersion is none of ${reviewVersions.join(', ')}`
  }
  if (!isObject(fieldOf(body, 'request'))) return 'it has no request'
  return uid === '' ? 'its request has no uid' : undefined
}

/** An own property of an object; undefined of anything else. */
export function fieldOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name)
  return typeof field === 'string' && field !== '' ? field : undefined
}

function listOf(value: unknown, name: string): readonly unknown[] {
  const field = fieldOf(value, name)
  return Array.isArray(field) ? (field as readonly unknown[]) : []
}

function given<Key extends string>(key: Key, value: string | undefined) {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: string }
}
