/**
 * `trow policy explain`: the policy as it is understood, its rules in normal spelling and in the order
 * in which they decide, and those of its rules that do nothing.
 */
import { listPolicyProblems } from '../admission/policy-problems.ts'
import type { NamespaceSettings, PolicySettings } from '../admission/policy-settings.ts'
import type { RuleForm, RuleList } from '../admission/rule.ts'
import { formatForm } from '../admission/rule.ts'
import { byPrecedence, placeOf, type ReadRule, readRules } from '../admission/rule-set.ts'
import { limits } from '../config/limits.ts'
import { printable } from '../oci/upstream-error.ts'
import type { Host } from './host.ts'

const section = 'image_validation'

export function explainPolicy(policy: PolicySettings | undefined, host: Host): void {
  for (const line of explain(policy)) host.write(`${printable(line)}\n`)
}

function* explain(policy: PolicySettings | undefined): Generator<string> {
  if (policy === undefined) {
    yield 'Image validation is not configured: every review of a pod is denied.'
    return
  }
  const general = [...readRules(policy, section)]
  yield `Mode: ${modes[policy.mode]}`
  yield `Digests: ${digests(policy.requireDigest)}`
  yield `Deployments and the like: ${workloads[policy.validateWorkloads]}`
  yield `Pulls: ${policy.enforceAtPull ? 'judged by the rules for all namespaces' : 'not judged'}`
  yield* exemptionLines(policy)
  yield ''
  const but = policy.namespaces.length > 0 ? ' but those below' : ''
  yield `In all namespaces${but}, the first rule that fits decides:`
  yield* ruleLines(general, policy.default)
  for (const [index, entry] of policy.namespaces.entries()) {
    const own = [...readRules(entry, `${section}.namespaces[${index}]`)]
    yield ''
    yield* namespaceLines(entry)
    yield* ruleLines(entry.inherit ? [...own, ...general] : own, entry.default ?? policy.default)
  }
  const problems = listPolicyProblems(policy, limits.configProblemsShownMax)
  if (problems.length > 0) yield* ['', 'Probably not as it is meant:', ...problems.map(indented)]
}

const modes = {
  enforce: 'enforce, what may not run is refused',
  warn: 'warn, what may not run is let through with a warning',
  audit: 'audit, what may not run is let through and logged',
} as const

const workloads = {
  warn: 'warned of when their pods would be refused',
  deny: 'refused when their pods would be',
  off: 'not judged, only their pods are',
} as const

function digests(isRequired: boolean): string {
  return isRequired ? 'required' : 'not required'
}

function* exemptionLines({ exempt }: PolicySettings): Generator<string> {
  const lists = {
    namespaces: exempt.namespaces,
    users: exempt.users,
    groups: exempt.groups,
    'service accounts': exempt.serviceAccounts,
  }
  for (const [name, entries] of Object.entries(lists)) {
    if (entries.length > 0) yield `Not judged, ${name}: ${entries.join(', ')}`
  }
}

function* namespaceLines(entry: NamespaceSettings): Generator<string> {
  yield `In the namespaces ${entry.names.join(', ')}:`
  if (entry.mode !== undefined) yield `  Mode: ${modes[entry.mode]}`
  if (entry.requireDigest !== undefined) yield `  Digests: ${digests(entry.requireDigest)}`
  if (entry.validateWorkloads !== undefined) {
    yield `  Deployments and the like: ${workloads[entry.validateWorkloads]}`
  }
}

function* ruleLines(rules: readonly ReadRule[], otherwise: string): Generator<string> {
  const ordered = rules.toSorted(byPrecedence)
  for (const { entry, form } of ordered) {
    const { message } = entry.rule
    const why = message === undefined ? '' : ` (${message})`
    yield `  ${entry.list.padEnd(5)}  ${describeForm(form, entry.list)}  # ${placeOf(entry)}${why}`
  }
  yield `  ${otherwise.toLowerCase().padEnd(5)}  everything else`
}

/** `…` is where names go on in any way. */
function describeForm(form: RuleForm, list: RuleList): string {
  const text = formatForm(form)
  if (form.kind === 'glob') return list === 'deny' ? `${text}…` : text
  if (form.kind !== 'subtree') return form.kind === 'start' ? `${text}…` : text
  if (form.isAnyPort) return `${text}[:port]/…`
  return form.parts.length === 1 ? `${text}/…` : `${text} and ${text}/…`
}

function indented(line: string): string {
  return `  ${line}`
}
