/**
 * What a policy says that has no effect, or may have another one than is meant, in words for who wrote
 * it. Nothing here keeps a policy from being used.
 */
import { readAllowRule } from './allow-rule.ts'
import { readDenyRule } from './deny-rule.ts'
import { matchesName, parseNamePattern } from '../lib/name-pattern.ts'
import type { NamespaceSettings, PolicySettings } from './policy-settings.ts'
import { formatForm, type ImageRule, type RuleList, type RuleReading } from './rule.ts'
import type { RuleLists } from './rule-set.ts'

const section = 'image_validation'

/** @returns one line for each problem, in the order of the file; no more than `max`. */
export function listPolicyProblems(settings: PolicySettings, max: number): string[] {
  const lines: string[] = []
  for (const line of problemsOf(settings)) {
    if (lines.length === max) return [...lines, `${section}: there is more of this kind`]
    lines.push(line)
  }
  return lines
}

function* problemsOf(settings: PolicySettings): Generator<string> {
  yield* ruleProblems(settings, section)
  for (const [index, entry] of settings.namespaces.entries()) {
    const place = `${section}.namespaces[${index}]`
    yield* namespaceProblems(settings.namespaces.slice(0, index), entry, place)
    yield* ruleProblems(entry, place)
  }
}

function* ruleProblems({ allow, deny }: RuleLists, place: string): Generator<string> {
  const denied = new Set<string>()
  for (const [index, rule] of deny.entries()) {
    const reading = readDenyRule(rule.image)
    for (const form of reading.forms) denied.add(formatForm(form))
    yield* sayProblem(reading, rule, `${place}.deny[${index}]`)
  }
  for (const [index, rule] of allow.entries()) {
    const reading = readAllowRule(rule.image)
    const at = `${place}.allow[${index}]`
    yield* sayProblem(reading, rule, at)
    const isDenied = reading.forms.some((form) => denied.has(formatForm(form)))
    if (isDenied) yield `${at}: ${quoted(rule)} has no effect, as deny has the same`
  }
}

function* sayProblem({ problem }: RuleReading, rule: ImageRule, at: string): Generator<string> {
  if (problem === undefined) return
  const { kind, reason, meant } = problem
  if (kind === 'unclear') yield `${at}: ${quoted(rule)}: ${reason}, for the image "${meant}"`
  else {
    const hint = meant === undefined ? '' : `; did you mean "${meant}"?`
    yield `${at}: ${quoted(rule)} fits no image: ${reason}${hint}`
  }
}

function* namespaceProblems(
  before: readonly NamespaceSettings[],
  { names }: NamespaceSettings,
  place: string,
): Generator<string> {
  for (const [index, name] of names.entries()) {
    if (name.includes('*')) continue
    const earlier = before.findIndex((entry) =>
      entry.names.some((other) => matchesName(parseNamePattern(other), name)),
    )
    if (earlier < 0) continue
    yield `${place}.names[${index}]: namespaces[${earlier}] is for "${name}", too, and comes first`
  }
}

function quoted({ image }: ImageRule): string {
  return JSON.stringify(image)
}

/** @throws InvalidRule for a rule that is to be refused. */
export function checkRule(text: string, list: RuleList): void {
  if (list === 'allow') readAllowRule(text)
  else readDenyRule(text)
}
