/**
 * The section `image_validation` of the configuration file: which images may run. What today's Trow has
 * in it is read the same, and more can be said. A rule that fits nothing is a warning, as it would be
 * no rule to today's Trow; one that cannot be read is an error.
 */
import * as z from 'zod'
import { InvalidRule } from '../admission/image-glob.ts'
import { checkRule } from '../admission/policy-problems.ts'
import { defaultActions, policyModes, workloadChoices } from '../admission/policy-settings.ts'
import type { RuleList } from '../admission/rule.ts'
import { InvalidSetting } from './invalid-setting.ts'
import { limits } from './limits.ts'
import { listOf, optional, read, section, text, withDefault } from './schema-fields.ts'

const message = read(text, (value) => {
  if (value.length <= limits.ruleMessageLengthMax) return value
  throw new InvalidSetting(`is longer than ${limits.ruleMessageLengthMax} characters`)
})

/** `quay.io/team/`, or that as `image` with more about it. */
function rule(list: RuleList) {
  const image = read(text, (value) => {
    if (value.length > limits.ruleLengthMax) {
      throw new InvalidSetting(`is longer than ${limits.ruleLengthMax} characters`)
    }
    try {
      checkRule(value, list)
      return value
    } catch (error) {
      if (error instanceof InvalidRule) throw new InvalidSetting(error.message)
      throw error
    }
  })
  const parts = z.strictObject({
    image: image.meta({ description: 'Images that the rule is for' }),
    message: optional(message, { description: 'Why there is this rule' }),
  })
  return z.preprocess((value) => (typeof value === 'string' ? { image: value } : value), parts)
}

const lists = {
  allow: withDefault(z.array(rule('allow')), {
    description: 'Images that may run',
    initial: [],
  }),
  deny: withDefault(z.array(rule('deny')), {
    description:
      'Images that may not run, even where one of `allow` fits as long a part of the name',
    initial: [],
  }),
}

function namePattern(form: string, isValid: RegExp) {
  return read(text, (value) => {
    if (isValid.test(value)) return value
    throw new InvalidSetting(`expected ${form}, in which "*" stands for any characters`)
  })
}

const namespaceName = namePattern('the name of a namespace', /^[a-z0-9*-]+$/)
const plainName = namePattern('a name', /^\S+$/)
const accountName = namePattern('NAMESPACE:NAME of a service account', /^[a-z0-9*-]+:[a-z0-9.*-]+$/)

const namespaceNames = read(listOf(namespaceName), (names) => {
  if (names.length > 0) return names
  throw new InvalidSetting('is empty: no namespace would have these rules')
})

const namespaceEntry = z.strictObject({
  names: namespaceNames.meta({ description: 'Namespaces that the entry is for' }),
  inherit: withDefault(z.boolean(), {
    description: 'Whether the rules for all namespaces count as well',
    initial: true,
  }),
  default: optional(z.enum(defaultActions), { description: 'As `default`, for these' }),
  mode: optional(z.enum(policyModes), { description: 'As `mode`, for these' }),
  require_digest: optional(z.boolean(), { description: 'As `require_digest`, for these' }),
  validate_workloads: optional(z.enum(workloadChoices), {
    description: 'As `validate_workloads`, for these',
  }),
  ...lists,
})

const namespaces = read(z.array(namespaceEntry), (entries) => {
  if (entries.length <= limits.policyNamespacesMax) return entries
  throw new InvalidSetting(`has more than ${limits.policyNamespacesMax} entries`)
})

const exempt = z.strictObject({
  namespaces: withDefault(listOf(namespaceName), {
    description: 'Namespaces in which everything may run',
    initial: [],
  }),
  users: withDefault(listOf(plainName), {
    description: 'Users who may run everything',
    initial: [],
  }),
  groups: withDefault(listOf(plainName), {
    description: 'Groups whose members may run everything',
    initial: [],
  }),
  service_accounts: withDefault(listOf(accountName), {
    description: 'Service accounts that may run everything, `NAMESPACE:NAME`',
    initial: [],
  }),
})

export const imageValidation = z.strictObject({
  default: z
    .enum(defaultActions)
    .meta({ description: 'What happens to an image that no rule fits: `Allow` or `Deny`' }),
  ...lists,
  mode: withDefault(z.enum(policyModes), {
    description: 'Whether images that may not run are refused, warned of, or only logged',
    initial: 'enforce',
  }),
  require_digest: withDefault(z.boolean(), {
    description: 'Lets only images run that are named by their digest',
    initial: false,
  }),
  validate_workloads: withDefault(z.enum(workloadChoices), {
    description: 'What happens to Deployments and the like whose pods would be refused',
    initial: 'warn',
  }),
  enforce_at_pull: withDefault(z.boolean(), {
    description: 'Refuses to serve images that may not run',
    initial: false,
  }),
  namespaces: withDefault(namespaces, {
    description: 'Rules for some namespaces',
    initial: [],
  }),
  exempt: section(exempt, 'Whose images are not judged'),
})
