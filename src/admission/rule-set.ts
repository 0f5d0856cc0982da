/** The two lists of one section of a policy, ready to be looked up. */
import { proxiedSegment } from '../oci/proxied-name.ts'
import { splitPort } from '../oci/same-host.ts'
import { readAllowRule } from './allow-rule.ts'
import { readDenyRule } from './deny-rule.ts'
import type { JudgedImage } from './judged-image.ts'
import { formatForm, type ImageRule, type RuleForm, type RuleList } from './rule.ts'
import { RuleTrie, type TrieTarget } from './rule-trie.ts'

export interface RuleLists {
  readonly allow: readonly ImageRule[]
  readonly deny: readonly ImageRule[]
}

/** A rule as it takes part in a decision. */
export interface RuleEntry {
  readonly rule: ImageRule
  readonly list: RuleList
  /** Where it stands: the key of the section, and its index in the list. */
  readonly section: string
  readonly index: number
  /** In its normal spelling. */
  readonly text: string
  /** By which the longest rule is found. */
  readonly length: number
  /** It speaks of other registries' images under a name of this one (`trow.example/f/...`). */
  readonly isAboutProxied: boolean
}

/** The longest rule of each list that fits. */
export interface FittingRules {
  readonly allow: RuleEntry | undefined
  readonly deny: RuleEntry | undefined
}

/** `image_validation.deny[3]` */
export function placeOf({ section, list, index }: RuleEntry): string {
  return `${section}.${list}[${index}]`
}

/** A rule in one of the ways it is read. */
export interface ReadRule {
  readonly entry: RuleEntry
  readonly form: RuleForm
}

/** @param section the key that the lists are below. @throws InvalidRule */
export function* readRules({ allow, deny }: RuleLists, section: string): Generator<ReadRule> {
  for (const [index, rule] of deny.entries()) {
    for (const form of readDenyRule(rule.image).forms) {
      yield { form, entry: makeEntry({ rule, list: 'deny', section, index }, form) }
    }
  }
  for (const [index, rule] of allow.entries()) {
    for (const form of readAllowRule(rule.image).forms) {
      yield { form, entry: makeEntry({ rule, list: 'allow', section, index }, form) }
    }
  }
}

/** In the order in which they decide: the longest first, of two as long the one that denies. */
export function byPrecedence({ entry: one }: ReadRule, { entry: other }: ReadRule): number {
  if (one.length !== other.length) return one.length > other.length ? -1 : 1
  return one.list === other.list ? 0 : Number(one.list === 'allow') - Number(other.list === 'allow')
}

export class RuleSet {
  readonly #allow = new RuleTrie<RuleEntry>()
  readonly #deny = new RuleTrie<RuleEntry>()

  /** @param section the key that the lists are below. @throws InvalidRule */
  constructor(lists: RuleLists, section: string) {
    for (const { form, entry } of readRules(lists, section)) {
      const trie = entry.list === 'allow' ? this.#allow : this.#deny
      trie.add(form, entry)
    }
  }

  find(image: JudgedImage): FittingRules {
    return { allow: this.#allow.find(allowTarget(image)), deny: this.#findDeny(image) }
  }

  /** A digest may be part of whatever image of its repository is allowed. */
  findForDigest(image: JudgedImage): FittingRules {
    const allow = this.#allow.findUnderAnyReference(allowTarget(image))
    return { allow, deny: this.#findDeny(image) }
  }

  #findDeny(image: JudgedImage): RuleEntry | undefined {
    const [whole, pinned] = denyTargets(image)
    const deny = this.#deny.find(whole)
    const other = pinned === undefined ? undefined : this.#deny.find(pinned)
    return other !== undefined && (deny === undefined || other.length > deny.length) ? other : deny
  }
}

function makeEntry(
  place: Pick<RuleEntry, 'rule' | 'list' | 'section' | 'index'>,
  form: RuleForm,
): RuleEntry {
  const text = formatForm(form)
  return { ...place, text, length: lengthOf(form, place.list), isAboutProxied: isProxied(text) }
}

/** A glob of `deny` is stronger than whatever is allowed; one of `allow` has its stars for nothing. */
function lengthOf(form: RuleForm, list: RuleList): number {
  const text = formatForm(form)
  if (form.kind !== 'glob') return text.length
  return list === 'deny' ? Number.POSITIVE_INFINITY : text.replaceAll('*', '').length
}

function isProxied(text: string): boolean {
  return text.split('/', 2)[1] === proxiedSegment
}

/** To a node only the digest counts where there is one, so no rule for a tag can speak for it. */
function allowTarget(image: JudgedImage): TrieTarget {
  const { tag, digest } = image
  return target(image, digest === undefined ? `:${tag}` : `@${digest}`)
}

function denyTargets(image: JudgedImage): readonly [TrieTarget, TrieTarget?] {
  const { tag, digest } = image
  if (digest === undefined) return [target(image, `:${tag}`)]
  const pinned = target(image, `@${digest}`)
  return tag === undefined ? [pinned] : [target(image, `:${tag}@${digest}`), pinned]
}

function target({ host, repository }: JudgedImage, suffix: string): TrieTarget {
  const [hostAtAnyPort, port] = splitPort(host)
  return {
    parts: [host, ...repository.split('/')],
    suffix,
    text: `${host}/${repository}${suffix}`,
    ...(port !== '' && { hostAtAnyPort }),
  }
}
