/** The parts of the schema about tags of local repositories: which never move, which go when. */
import * as z from 'zod'
import { parseNamePattern } from '../lib/name-pattern.ts'
import { InvalidSetting } from './invalid-setting.ts'
import { limits } from './limits.ts'
import { duration, listOf, number, optional, read, text, withDefault } from './schema-fields.ts'
import type { ImmutableTags } from './tag-policy.ts'

const repositoryForm = /^[a-z0-9._/*-]+$/
const tagForm = /^[A-Za-z0-9._*-]+$/

function pattern(form: RegExp, what: string) {
  return read(text, (value) => {
    if (form.test(value)) return parseNamePattern(value)
    throw new InvalidSetting(`expected ${what}, in which "*" stands for any characters`)
  })
}

const tagPattern = pattern(tagForm, 'a tag')
const repositoryPattern = pattern(repositoryForm, 'the name of a repository')

/** `v*`, or `team/*:v*` for some repositories only. */
const immutableTag = read(text, (value): ImmutableTags => {
  const [tag = '', repository = '*', ...more] = value.split(':').toReversed()
  if (more.length === 0 && tagForm.test(tag) && repositoryForm.test(repository)) {
    return { tag: parseNamePattern(tag), repository: parseNamePattern(repository) }
  }
  throw new InvalidSetting(
    'expected a tag such as "v*", or REPOSITORY:TAG such as "team/*:v*", in which "*" stands for any characters',
  )
})

export const immutableTags = listOf(immutableTag)

const newest = number(
  `expected a whole number from 1 to ${limits.retentionNewestMax}`,
  (value) => Number.isInteger(value) && value >= 1 && value <= limits.retentionNewestMax,
)

const within = duration(limits.retentionSecondsMin, limits.retentionSecondsMax)

export const retentionRule = z.strictObject({
  repositories: withDefault(listOf(repositoryPattern), {
    description: 'Repositories that the rule is for, one or a list; `*` stands for any characters',
    initial: ['*'],
  }),
  tags: withDefault(listOf(tagPattern), {
    description: 'Tags that it is for, likewise',
    initial: ['*'],
  }),
  keep_newest: optional(newest, {
    description: 'Keeps so many of these tags of a repository, those that were pushed last',
  }),
  keep_pushed_within: optional(within, { description: 'Keeps tags that were pushed since' }),
  keep_pulled_within: optional(within, {
    description: 'Keeps tags of images that were pulled since, by whatever name',
  }),
  keep_all: withDefault(z.boolean(), {
    description: 'Keeps all of these tags, whatever a later rule says',
    initial: false,
  }),
})
