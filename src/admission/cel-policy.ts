/**
 * A policy as a Kubernetes ValidatingAdmissionPolicy (CEL, generally available since 1.30), which the
 * API server enforces by itself. What CEL cannot say is refused rather than let pass, and
 * {@link listExportGaps} says what that is.
 */
import { dockerHub } from '../oci/image-reference.ts'
import type { NamespaceSettings, PolicySettings } from './policy-settings.ts'
import { reasons } from './policy.ts'
import { reviewReasons } from './review.ts'
import { expressionOf } from './rule-expression.ts'
import { byPrecedence, type ReadRule, readRules } from './rule-set.ts'

const section = 'image_validation'
const serviceAccount = 'system:serviceaccount:'

/** The two objects to apply. */
export function makeCelPolicy(policy: PolicySettings, name: string): [object, object] {
  const variables = Object.entries(variablesOf(policy)).map(([name, expression]) => ({
    name,
    expression,
  }))
  return [
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name },
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [''],
              apiVersions: ['v1'],
              operations: ['CREATE', 'UPDATE'],
              resources: ['pods', 'pods/ephemeralcontainers'],
            },
          ],
        },
        matchConditions: conditionsOf(policy),
        variables,
        validations: [
          {
            expression: 'variables.refused.size() == 0',
            messageExpression: "variables.refused.map(r, r[0] + ': ' + r[2]).join('; ')",
            reason: 'Forbidden',
          },
        ],
      },
    },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name },
      spec: { policyName: name, validationActions: [actions[policy.mode]] },
    },
  ]
}

const actions = { enforce: 'Deny', warn: 'Warn', audit: 'Audit' } as const

/** What the exported policy does otherwise than the webhook, in words for who applies it. */
export function listExportGaps(policy: PolicySettings): string[] {
  const { namespaces } = policy
  const hasModes = namespaces.some(({ mode }) => mode !== undefined && mode !== policy.mode)
  return [
    'only pods are judged, not the Deployments and the like that make them',
    'images under a path of the cache (HOST/f/REGISTRY/...) are refused unless a rule of allow ' +
      'speaks of such paths: what they stand for is not looked at',
    'images at IPv6 addresses are refused: their spellings cannot be compared',
    ...(hasModes ? ['the mode is the general one in all namespaces'] : []),
    ...(policy.enforceAtPull ? ['enforce_at_pull is left to the registry'] : []),
    'a change of the policy takes effect when it is exported and applied again',
  ]
}

/** Whose pods are judged at all. */
function conditionsOf({ exempt }: PolicySettings): object[] {
  const users = [...exempt.users, ...exempt.serviceAccounts.map((name) => serviceAccount + name)]
  const conditions: [name: string, patterns: readonly string[], expression: string][] = [
    ['not-exempt-namespace', exempt.namespaces, '!request.namespace.matches(PATTERN)'],
    ['not-exempt-user', users, '!request.userInfo.username.matches(PATTERN)'],
    [
      'not-exempt-group',
      exempt.groups,
      '!(has(request.userInfo.groups) && request.userInfo.groups.exists(g, g.matches(PATTERN)))',
    ],
  ]
  return [
    {
      name: 'not-being-deleted',
      expression: "request.operation != 'UPDATE' || !has(oldObject.metadata.deletionTimestamp)",
    },
    ...conditions
      .filter(([, patterns]) => patterns.length > 0)
      .map(([name, patterns, expression]) => ({
        name,
        expression: expression.replace('PATTERN', () => literal(namesExpression(patterns))),
      })),
  ]
}

/** In the order in which they build on each other. */
function variablesOf(policy: PolicySettings): Record<string, string> {
  return {
    images: imagesOf('object'),
    before: `request.operation == 'UPDATE' ? ${imagesOf('oldObject')} : []`,
    rules: byNamespace(policy, rulesExpression),
    requireDigest: byNamespace(policy, (entry) =>
      String(entry?.requireDigest ?? policy.requireDigest),
    ),
    ...normalSpelling,
    // The image, its name by which allow judges, and its name with both tag and digest.
    judged:
      "variables.tagged.map(p, [p[0], p[1] + '/' + p[2] + (p[4] == '' ? p[3] : p[4]), " +
      "p[1] + '/' + p[2] + p[3] + p[4]])",
    // The image, what becomes of it, and why; by the first rule that fits.
    decided: `variables.judged.map(j, ${decision})`,
    refused: "variables.decided.filter(d, d[1] == 'deny')",
  }
}

/** Step by step: the image as written, its host, its path, its tag and its digest. */
const normalSpelling: Record<string, string> = {
  introduced: 'variables.images.filter(i, !(i in variables.before))',
  hosted:
    "variables.introduced.map(i, [i, (i.matches('^(?:[^/]*[.:][^/]*|(?i:localhost))/') ? i : " +
    `'${dockerHub}/' + i).split('@')[0], i.contains('@') ? i.substring(i.indexOf('@')) : ''])`,
  cut:
    "variables.hosted.map(p, [p[0], p[1].substring(0, p[1].indexOf('/')).lowerAscii(), " +
    "p[1].substring(p[1].indexOf('/') + 1), p[2]])",
  ported:
    "variables.cut.map(p, [p[0], p[1].endsWith(':443') ? p[1].substring(0, p[1].size() - 4) : p[1], " +
    'p[2], p[3]])',
  named:
    "variables.ported.map(p, [p[0], p[1] in ['index.docker.io', 'registry-1.docker.io', " +
    `'registry.hub.docker.com'] ? '${dockerHub}' : p[1], p[2], p[3]])`,
  full: `variables.named.map(p, [p[0], p[1], (p[1] == '${dockerHub}' && !p[2].contains('/') ? 'library/' : '') + p[2], p[3]])`,
  tagged:
    "variables.full.map(p, [p[0], p[1], p[2].split(':')[0], p[2].contains(':') ? " +
    "p[2].substring(p[2].indexOf(':')) : (p[3] == '' ? ':latest' : ''), p[3]])",
}

/** `host/repository[:tag][@digest]` as this registry reads it, without IPv6 addresses. */
const label = '[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?'
const octet = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])'
const address = `(?:${octet}\\.){3}${octet}`
const segment = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const valid =
  `^(?:(?:${label}\\.)*${label}|${address})(?::[1-9][0-9]{0,4})?/${segment}(?:/${segment})*` +
  '(?::[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127})?(?:@sha256:[a-f0-9]{64}|@sha512:[a-f0-9]{128})?$'
/** A host that ends in a number is an address; the ID of an image names none. */
const oddHost = '^(?:[^/]*\\.)?(?:[0-9]+|0x[0-9a-f]*)(?::[0-9]+)?/'
const imageId = '^(?:(?:sha[0-9]{3}|blake3):[0-9a-fA-F]+|[0-9a-f]{64})(?:[:@].*)?$'
const proxied = '^[^/]+/f(?:/|$)'

const decision = [
  `j[0] == '' ? [j[0], 'deny', '${reviewReasons.missing}'] : `,
  `(j[0].matches(${literal(imageId)}) || !j[2].matches(${literal(valid)}) || `,
  `(j[2].matches(${literal(oddHost)}) && !j[2].matches(${literal(`^${address}(?::[0-9]+)?/`)}))) `,
  `? [j[0], 'deny', '${reasons.invalid}'] : `,
  "[j[0]] + (variables.rules.filter(r, r[0] == 'deny' ? ",
  '(j[1].matches(r[1]) || j[2].matches(r[1])) : ',
  `(j[1].matches(r[1]) && (r[3] == 'f' || !j[2].matches(${literal(proxied)})))).map(r, `,
  `r[0] == 'allow' && variables.requireDigest && !j[1].contains('@') `,
  `? ['deny', '${reasons.noDigest}'] : [r[0], r[2]]) + [['deny', '${reasons.byDefault}']])[0]`,
].join('')

function imagesOf(object: string): string {
  const image = (path: string) => `has(${path}) ? string(${path}) : ''`
  const containers = ['initContainers', 'containers', 'ephemeralContainers'].map((name) => {
    const list = `${object}.spec.${name}`
    return `(has(${list}) ? ${list}.map(c, ${image('c.image')}) : [])`
  })
  const volumes = `${object}.spec.volumes`
  const references = `${volumes}.filter(v, has(v.image)).map(v, ${image('v.image.reference')})`
  return `(${[...containers, `(has(${volumes}) ? ${references} : [])`].join(' + ')})`
}

/** What the expression is in the namespaces that have an entry, and in the others. */
function byNamespace(
  { namespaces, ...policy }: PolicySettings,
  expression: (entry: NamespaceSettings | undefined, index: number, policy: General) => string,
): string {
  const cases = namespaces.map((entry, index) => {
    const names = literal(namesExpression(entry.names))
    return `request.namespace.matches(${names}) ? ${expression(entry, index, policy)} : `
  })
  return `${cases.join('')}(${expression(undefined, -1, policy)})`
}

type General = Omit<PolicySettings, 'namespaces'>

/** Rules in order: what they do, the expression, why, and whether they are about paths of the cache. */
function rulesExpression(
  entry: NamespaceSettings | undefined,
  index: number,
  policy: General,
): string {
  const own = entry === undefined ? [] : [...readRules(entry, `${section}.namespaces[${index}]`)]
  const general = entry?.inherit === false ? [] : [...readRules(policy, section)]
  const rules = [...own, ...general].toSorted(byPrecedence).map(ruleTuple)
  const action = (entry?.default ?? policy.default).toLowerCase()
  return `[${[...rules, tuple([action, '', reasons.byDefault, ''])].join(', ')}]`
}

function ruleTuple({ entry, form }: ReadRule): string {
  const { list, rule, isAboutProxied } = entry
  const message = rule.message === undefined ? '' : `: ${rule.message}`
  const reason = list === 'deny' ? reasons.denied + message : reasons.allowed
  return tuple([list, expressionOf(form), reason, isAboutProxied ? 'f' : ''])
}

function tuple(fields: readonly string[]): string {
  return `[${fields.map(literal).join(', ')}]`
}

/** JSON's escapes are CEL's, too. */
function literal(text: string): string {
  return JSON.stringify(text)
}

function namesExpression(patterns: readonly string[]): string {
  const names = patterns.map((pattern) =>
    pattern
      .split('*')
      .map((piece) => piece.replaceAll(/[\\^$.+?()[\]{}|]/g, (character) => `\\${character}`))
      .join('.*'),
  )
  return `^(?:${names.join('|')})$`
}
