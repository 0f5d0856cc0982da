import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { readAllowRule } from '../../../src/admission/allow-rule.ts'
import { readDenyRule } from '../../../src/admission/deny-rule.ts'
import { parseJudgedImage } from '../../../src/admission/judged-image.ts'
import { checkRule } from '../../../src/admission/policy-problems.ts'
import { expressionOf } from '../../../src/admission/rule-expression.ts'
import { isAllowedBy, isDeniedBy } from './judge.ts'

const digest = `sha256:${'a'.repeat(64)}`

/** Without paths of the cache, which are more than one name. */
const host = fc.constantFrom('docker.io', 'quay.io', 'quay.io:8080', 'a.io', '127.0.0.1', 'x.a.io')
const path = fc
  .array(fc.constantFrom('a', 'ab', 'a-b', 'a.b', 'team'), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'))
const suffix = fc.constantFrom(':1', ':1.2', `@${digest}`, `:1@${digest}`)
const image = fc.tuple(host, path, suffix).map(([name, below, end]) => `${name}/${below}${end}`)

const pattern = fc
  .array(fc.constantFrom('*', '**', 'a', 'a*', '*b', 'team'), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'))
const glob = fc
  .tuple(
    fc.constantFrom('*', '**', 'quay.io', '*.io', '*.io:*'),
    pattern,
    fc.constantFrom('', ':1*', '@*', '/'),
  )
  .map(([name, below, end]) => `${name}/${below}${end}`)
const cut = fc.tuple(image, fc.nat(30)).map(([text, length]) => text.slice(0, length + 3))
const rule = fc.oneof(host, cut, image, glob).filter((text) => {
  try {
    checkRule(text, 'allow')
    return true
  } catch {
    return false
  }
})

test('a rule as a regular expression fits the images that the rule fits', () => {
  fc.assert(
    fc.property(rule, image, (text, name) => {
      const { host, repository, tag, digest } = parseJudgedImage(name)
      const bare = `${host}/${repository}`
      const allowed = bare + (digest === undefined ? `:${tag}` : `@${digest}`)
      const whole =
        bare + (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`)
      const fits = (expressions: string[], names: string[]) =>
        expressions.some((one) => names.some((name) => new RegExp(one).test(name)))
      const allow = readAllowRule(text).forms.map(expressionOf)
      assert.equal(fits(allow, [allowed]), isAllowedBy([text], name), `allow ${allow.join(' ')}`)
      const deny = readDenyRule(text).forms.map(expressionOf)
      assert.equal(fits(deny, [allowed, whole]), isDeniedBy([text], name), `deny ${deny.join(' ')}`)
    }),
    { numRuns: 5_000 },
  )
})
