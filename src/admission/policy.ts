/**
 * The policy: which images may run in which namespace, and by which rule. Of the rules that fit an
 * image the longest decides, of two as long the one that denies; where none fits, the default does.
 * Pure: the same image gets the same answer until the policy is replaced.
 */
import { OciError } from '../oci/errors.ts'
import { formatJudgedImage, type JudgedImage, parseJudgedImage } from './judged-image.ts'
import { matchesName, type NamePattern, parseNamePattern } from '../lib/name-pattern.ts'
import type {
  DefaultAction,
  Exemptions,
  NamespaceSettings,
  PolicyMode,
  PolicySettings,
  WorkloadChoice,
} from './policy-settings.ts'
import { unwrapImage } from './proxied-image.ts'
import { type FittingRules, type RuleEntry, RuleSet } from './rule-set.ts'

/** The policy as it is for one namespace. */
export interface Scope {
  readonly default: DefaultAction
  readonly mode: PolicyMode
  readonly requireDigest: boolean
  readonly validateWorkloads: WorkloadChoice
  readonly ruleSets: readonly RuleSet[]
  /** Key of the section that it is from. */
  readonly section: string
}

export interface Judgement {
  readonly isAllowed: boolean
  /** In Trow's words, which people and scripts know. */
  readonly reason: string
  /** What is wrong with an image that is none. */
  readonly detail?: string
  /** Absent where no rule decided. */
  readonly rule?: RuleEntry
  /** The image in its normal spelling, followed by what it stands for; empty if it is none. */
  readonly names: readonly string[]
}

/** Who asks for what where. */
export interface Requester {
  readonly namespace?: string
  readonly user?: string
  readonly groups: readonly string[]
}

const section = 'image_validation'
const serviceAccount = 'system:serviceaccount:'

export const reasons = {
  invalid: 'Invalid image reference',
  byDefault: 'Image is neither explicitly allowed nor denied (using default behavior)',
  denied: 'Image explicitly denied',
  allowed: 'Image explicitly allowed',
  noDigest: 'Image is not named by its digest, which require_digest asks for',
} as const

export class Policy {
  readonly settings: PolicySettings
  readonly #ownHosts: readonly string[]
  readonly #general: Scope
  readonly #namespaces: readonly { readonly names: readonly NamePattern[]; readonly scope: Scope }[]
  readonly #exemptions: readonly Exemption[]

  /** @param ownHosts names of this registry, under which it has other registries' images as well. */
  constructor(settings: PolicySettings, ownHosts: readonly string[]) {
    this.settings = settings
    this.#ownHosts = ownHosts
    const rules = new RuleSet(settings, section)
    this.#general = { ...settings, ruleSets: [rules], section }
    this.#namespaces = settings.namespaces.map((entry, index) => ({
      names: entry.names.map(parseNamePattern),
      scope: scopeOf(entry, `${section}.namespaces[${index}]`, this.#general),
    }))
    this.#exemptions = exemptionsOf(settings.exempt)
  }

  /** @param namespace undefined for what is in none. */
  findScope(namespace: string | undefined): Scope {
    if (namespace === undefined) return this.#general
    const fits = (name: NamePattern): boolean => matchesName(name, namespace)
    return this.#namespaces.find(({ names }) => names.some(fits))?.scope ?? this.#general
  }

  /** @returns the setting by which the requester's images are not judged. */
  findExemption(requester: Requester): string | undefined {
    return this.#exemptions.find(({ pattern, namesOf }) =>
      namesOf(requester).some((name) => name !== undefined && matchesName(pattern, name)),
    )?.setting
  }

  judge(text: string, scope: Scope): Judgement {
    let image: JudgedImage
    try {
      image = parseJudgedImage(text)
    } catch (error) {
      if (!(error instanceof OciError)) throw error
      const { message: detail } = error.cause instanceof OciError ? error.cause : error
      return { isAllowed: false, reason: reasons.invalid, detail, names: [] }
    }
    return this.#judge(image, scope, (rules, name) => rules.find(name))
  }

  /**
   * Judges what is pulled, in no namespace.
   * @param names of the image, one for each name of this registry: one has to be allowed, none denied.
   * @param isDigest the digest may be of any part of any image of the repository.
   */
  judgePull(names: readonly JudgedImage[], isDigest: boolean): Judgement | undefined {
    const find = (rules: RuleSet, name: JudgedImage): FittingRules =>
      isDigest ? rules.findForDigest(name) : rules.find(name)
    const judgements = names.map((name) => this.#judge(name, this.#general, find))
    const refused = judgements.filter(({ isAllowed }) => !isAllowed)
    const denied = refused.find(({ rule }) => rule !== undefined)
    return denied ?? (refused.length === judgements.length ? refused[0] : undefined)
  }

  #judge(
    image: JudgedImage,
    scope: Scope,
    find: (rules: RuleSet, name: JudgedImage) => FittingRules,
  ): Judgement {
    const chain = unwrapImage(image, this.#ownHosts)
    const names = chain.map((name) => formatJudgedImage(name.image))
    const verdicts = chain.map((name) => ({
      isOwn: name.isOwn,
      rule: decide(scope.ruleSets.map((rules) => find(rules, name.image))),
    }))
    const denied = verdicts.find(({ rule }) => rule?.list === 'deny')?.rule
    if (denied !== undefined) {
      return { isAllowed: false, reason: withMessage(reasons.denied, denied), rule: denied, names }
    }
    const allowed = findAllowing(verdicts)
    if (allowed === undefined && scope.default === 'Deny') {
      return { isAllowed: false, reason: reasons.byDefault, names }
    }
    if (scope.requireDigest && image.digest === undefined) {
      return { isAllowed: false, reason: reasons.noDigest, names }
    }
    return allowed === undefined
      ? { isAllowed: true, reason: reasons.byDefault, names }
      : { isAllowed: true, reason: reasons.allowed, rule: allowed, names }
  }
}

interface Exemption {
  readonly setting: string
  readonly pattern: NamePattern
  readonly namesOf: (requester: Requester) => readonly (string | undefined)[]
}

function exemptionsOf(exempt: Exemptions): Exemption[] {
  const make = (key: string, patterns: readonly string[], namesOf: Exemption['namesOf']) =>
    patterns.map((pattern, index) => ({
      setting: `${section}.exempt.${key}[${index}]`,
      pattern: parseNamePattern(pattern),
      namesOf,
    }))
  const accounts = exempt.serviceAccounts.map((pattern) => serviceAccount + pattern)
  return [
    ...make('namespaces', exempt.namespaces, ({ namespace }) => [namespace]),
    ...make('users', exempt.users, ({ user }) => [user]),
    ...make('groups', exempt.groups, ({ groups }) => groups),
    ...make('service_accounts', accounts, ({ user }) => [user]),
  ]
}

function scopeOf(entry: NamespaceSettings, section: string, general: Scope): Scope {
  const rules = new RuleSet(entry, section)
  return {
    default: entry.default ?? general.default,
    mode: entry.mode ?? general.mode,
    requireDigest: entry.requireDigest ?? general.requireDigest,
    validateWorkloads: entry.validateWorkloads ?? general.validateWorkloads,
    ruleSets: entry.inherit ? [rules, ...general.ruleSets] : [rules],
    section,
  }
}

interface Verdict {
  readonly isOwn: boolean
  readonly rule: RuleEntry | undefined
}

/**
 * A name that stands for another one is allowed by a rule that speaks of such names, or as what it
 * stands for is; and if its registry is not known to be this one, it has to be allowed itself as well,
 * or everybody could have `evil.example/f/quay.io/app`.
 * @param verdicts none of them denies.
 */
function findAllowing([first, ...others]: readonly Verdict[]): RuleEntry | undefined {
  if (first === undefined || others.length === 0 || first.rule?.isAboutProxied) return first?.rule
  return first.isOwn || first.rule !== undefined ? findAllowing(others) : undefined
}

/** The longest rule, and the one that denies if two are as long. */
function decide(fitting: readonly FittingRules[]): RuleEntry | undefined {
  let decisive: RuleEntry | undefined
  for (const { allow, deny } of fitting) {
    for (const rule of [deny, allow]) {
      if (rule !== undefined && isStronger(rule, decisive)) decisive = rule
    }
  }
  return decisive
}

function isStronger(rule: RuleEntry, than: RuleEntry | undefined): boolean {
  if (than === undefined || rule.length !== than.length) return rule.length > (than?.length ?? -1)
  return rule.list === 'deny' && than.list === 'allow'
}

function withMessage(reason: string, { rule }: RuleEntry): string {
  return rule.message === undefined ? reason : `${reason}: ${rule.message}`
}
