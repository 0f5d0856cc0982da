// Admission reviews as the API server sends them, and what it does with the answers: its checks are
// repeated here from its source (plugin/webhook/request and plugin/webhook/validating), so that no
// test takes an answer that it would not.

import assert from 'node:assert/strict'
import type { PolicySettings } from '../../src/admission/policy-settings.ts'
import type { ImageRule } from '../../src/admission/rule.ts'

interface Lists {
  readonly allow?: readonly (string | ImageRule)[]
  readonly deny?: readonly (string | ImageRule)[]
}

type Namespaces = readonly (Partial<Omit<PolicySettings['namespaces'][number], 'allow' | 'deny'>> &
  Lists & { readonly names: readonly string[] })[]

export type PolicyChoice = Partial<
  Omit<PolicySettings, 'allow' | 'deny' | 'namespaces' | 'exempt'>
> &
  Lists & {
    readonly namespaces?: Namespaces
    readonly exempt?: Partial<PolicySettings['exempt']>
  }

function ruleLists({ allow = [], deny = [] }: Lists) {
  const read = (rule: string | ImageRule): ImageRule =>
    typeof rule === 'string' ? { image: rule } : rule
  return { allow: allow.map(read), deny: deny.map(read) }
}

/** A policy that denies what it does not allow, unless it is told otherwise. */
export function policySettings(choice: PolicyChoice): PolicySettings {
  const { namespaces = [], exempt, allow, deny, ...rest } = choice
  return {
    default: 'Deny',
    mode: 'enforce',
    requireDigest: false,
    validateWorkloads: 'warn',
    enforceAtPull: false,
    ...rest,
    ...ruleLists({ ...(allow && { allow }), ...(deny && { deny }) }),
    namespaces: namespaces.map((entry) => ({ inherit: true, ...entry, ...ruleLists(entry) })),
    exempt: { namespaces: [], users: [], groups: [], serviceAccounts: [], ...exempt },
  }
}

export interface ReviewOptions {
  readonly apiVersion?: string
  readonly uid?: string
  readonly group?: string
  readonly kind?: string
  readonly operation?: string
  readonly namespace?: string
  readonly user?: string
  readonly groups?: readonly string[]
  readonly object?: unknown
  readonly oldObject?: unknown
  readonly subResource?: string
  readonly dryRun?: boolean
}

export interface SentReview {
  readonly apiVersion: string
  readonly kind: string
  readonly request: Readonly<Record<string, unknown>> & { readonly uid: string }
}

/** In the order of fields that the API server writes. */
export function makeReview(options: ReviewOptions): SentReview {
  const { group = '', kind = 'Pod', subResource, dryRun = false } = options
  const version = 'v1'
  return {
    kind: 'AdmissionReview',
    apiVersion: options.apiVersion ?? 'admission.k8s.io/v1',
    request: {
      uid: options.uid ?? '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group, version, kind },
      resource: { group, version, resource: `${kind.toLowerCase()}s` },
      ...(subResource !== undefined && { subResource }),
      name: 'web',
      namespace: options.namespace ?? 'shop',
      operation: options.operation ?? 'CREATE',
      userInfo: { username: options.user ?? 'ann', uid: 'of-ann', groups: options.groups ?? [] },
      object: options.object ?? null,
      oldObject: options.oldObject ?? null,
      dryRun,
      options: null,
    },
  }
}

/** @param images of its containers */
export function pod(images: readonly string[], spec: object = {}, metadata: object = {}): object {
  const containers = images.map((image, index) => ({ name: `c${index}`, image }))
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', uid: 'of-the-pod', ...metadata },
    spec: { containers, ...spec },
  }
}

export function podReview(images: readonly string[], options: ReviewOptions = {}): SentReview {
  return makeReview({ object: pod(images), ...options })
}

export interface ReviewAnswer {
  readonly uid: string
  readonly allowed: boolean
  readonly warnings: readonly string[]
  readonly auditAnnotations: Readonly<Record<string, string>>
  /** What the user is told; empty when it is allowed. */
  readonly message: string
  readonly code: number
  readonly reason: string
  readonly causes: readonly { reason: string; message: string; field: string }[]
}

/** Fails where the API server would not accept the answer, and so count it as a failure. */
export function acceptAnswer(sent: Pick<SentReview, 'apiVersion' | 'request'>, body: unknown) {
  const { apiVersion, kind, response } = body as {
    apiVersion: string
    kind: string
    response?: Record<string, unknown>
  }
  assert.ok(response, 'webhook response was absent')
  if (sent.apiVersion === 'admission.k8s.io/v1') {
    assert.equal(response['uid'], sent.request.uid, 'expected response.uid of the request')
    assert.equal(apiVersion, 'admission.k8s.io/v1')
    assert.equal(kind, 'AdmissionReview')
  } else {
    assert.equal(apiVersion, 'admission.k8s.io/v1beta1')
  }
  assert.ok(
    !('patch' in response) && !('patchType' in response),
    'no patch of a validating webhook',
  )
  const {
    warnings = [],
    auditAnnotations = {},
    status,
  } = response as {
    warnings?: string[]
    auditAnnotations?: Record<string, string>
    status?: { code?: number; reason?: string; message?: string; details?: unknown }
  }
  for (const warning of warnings)
    assert.ok(Array.from(warning).length <= 256, 'a warning would be cut')
  assert.ok(Array.from(warnings.join('')).length <= 4096, 'warnings would be cut')
  for (const key of Object.keys(auditAnnotations))
    assert.match(key, /^[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?$/)
  const isAllowed = response['allowed']
  assert.equal(typeof isAllowed, 'boolean')
  if (isAllowed === false) assert.ok((status?.code ?? 0) >= 400, 'the code would be rewritten')
  const details = (status?.details ?? {}) as { causes?: ReviewAnswer['causes'] }
  return {
    uid: String(response['uid']),
    allowed: isAllowed === true,
    warnings,
    auditAnnotations,
    message: status?.message ?? '',
    code: status?.code ?? 0,
    reason: status?.reason ?? '',
    causes: details.causes ?? [],
  } satisfies ReviewAnswer
}
