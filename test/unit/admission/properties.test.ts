import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import {
  formatJudgedImage,
  type JudgedImage,
  parseJudgedImage,
} from '../../../src/admission/judged-image.ts'
import { fitsGlob, parseImageGlob } from '../../../src/admission/image-glob.ts'
import { matchesName, parseNamePattern } from '../../../src/lib/name-pattern.ts'
import { checkRule } from '../../../src/admission/policy-problems.ts'
import { RuleSet, type RuleLists } from '../../../src/admission/rule-set.ts'
import { readHost } from '../../../src/admission/rule-text.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { splitPort } from '../../../src/oci/same-host.ts'
import { isAllowedBy, isDeniedBy } from './judge.ts'

/** Few of each, so that rules and images meet. */
const host = fc.constantFrom(
  'docker.io',
  'index.docker.io',
  'Docker.io:443',
  'quay.io',
  'QUAY.io',
  'quay.io:443',
  'quay.io:8080',
  'quay.io.evil.com',
  'localhost',
  'localhost:5000',
  '127.0.0.1',
  '127.0.0.1:80',
  '127.0.0.11',
  '[::1]:5000',
  '[::ffff:127.0.0.1]',
)
const part = fc.constantFrom('a', 'ab', 'a-b', 'team', 'f', 'quay.io', 'library', 'app_1')
const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
const digest = fc.constantFrom(`@sha256:${'a'.repeat(64)}`, `@sha256:${'b'.repeat(64)}`)
const tag = fc.constantFrom(':1', ':1.2', ':1.25', ':latest')
const suffix = fc.oneof(
  fc.constant(''),
  tag,
  digest,
  fc.tuple(tag, digest).map(([one, other]) => one + other),
)
const image = fc
  .tuple(fc.option(host, { nil: undefined }), path, suffix)
  .map(([name, below, end]) => `${name === undefined ? '' : `${name}/`}${below}${end}`)

/** Rules that are cut off anywhere, as prefixes are. */
const literalRule = fc.oneof(
  fc.tuple(image, fc.nat(40)).map(([text, length]) => text.slice(0, length + 1)),
  host,
  host.map((name) => `${name}/`),
  image,
)
const globRule = fc
  .array(fc.constantFrom('*', '**', 'a', 'a*', '*b', 'team', 'quay.io', 'docker.io', '*.io'), {
    minLength: 1,
    maxLength: 4,
  })
  .chain((parts) => fc.constantFrom('', ':1*', '@*', '/').map((end) => parts.join('/') + end))
const rule = fc.oneof({ arbitrary: literalRule, weight: 3 }, globRule)

function parsed(text: string): JudgedImage | undefined {
  try {
    return parseJudgedImage(text)
  } catch (error) {
    assert.ok(error instanceof OciError)
    return undefined
  }
}

describe('the normal spelling of an image', () => {
  test('is its own normal spelling', () => {
    const near = fc.string({ unit: fc.constantFrom(...'aA0.:/@[]-_%443'.split('')) })
    fc.assert(
      fc.property(fc.oneof(image, near), (text) => {
        const read = parsed(text)
        if (read === undefined) return
        const normal = formatJudgedImage(read)
        assert.equal(formatJudgedImage(parseJudgedImage(normal)), normal)
        assert.deepEqual(parseJudgedImage(normal), read)
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('a rule without a star', () => {
  test('of allow lets in no image of another host', () => {
    fc.assert(
      fc.property(literalRule, image, (text, name) => {
        if (!isAllowedBy([text], name)) return
        const of = readHost(text.split('/')[0] ?? '')
        assert.ok('host' in of, text)
        const { host } = parseJudgedImage(name)
        // An address or localhost stands for each of its ports, which are on one machine.
        assert.ok(host === of.host || splitPort(host)[0] === of.host, `${text} ${name}`)
      }),
      { numRuns: 10_000 },
    )
  })

  test('of allow lets in nothing that a prefix would not', () => {
    fc.assert(
      fc.property(literalRule, image, (text, name) => {
        if (!isAllowedBy([text], name)) return
        assert.ok(isDeniedBy([text], name), `${text} ${name}`)
      }),
      { numRuns: 5_000 },
    )
  })

  test('of deny lets pass nothing that begins with it', () => {
    fc.assert(
      fc.property(literalRule, image, (text, name) => {
        const read = parsed(name)
        if (read === undefined || !formatJudgedImage(read).startsWith(text)) return
        assert.ok(isDeniedBy([text], name), `${text} ${name}`)
      }),
      { numRuns: 5_000 },
    )
  })
})

test('many rules together decide as the longest of them would alone', () => {
  const list = fc.uniqueArray(rule, { maxLength: 12 })
  const lists = fc.record({ allow: list, deny: list })
  fc.assert(
    fc.property(lists, image, ({ allow, deny }, name) => {
      const read = parsed(name)
      if (read === undefined) return
      const [allowed, denied] = [allow.filter(isReadable), deny.filter(isReadable)]
      const together = new RuleSet(listsOf(allowed, denied), 's').find(read)
      const lengths = (rules: string[], of: 'allow' | 'deny') =>
        rules.map((text) => {
          const alone = new RuleSet(listsOf([text], [text]), 's').find(read)
          return alone[of]?.length ?? -1
        })
      assert.equal(together.allow?.length ?? -1, Math.max(-1, ...lengths(allowed, 'allow')))
      assert.equal(together.deny?.length ?? -1, Math.max(-1, ...lengths(denied, 'deny')))
    }),
    { numRuns: 1_000 },
  )
})

function isReadable(text: string): boolean {
  try {
    checkRule(text, 'allow')
    checkRule(text, 'deny')
    return true
  } catch {
    return false
  }
}

function listsOf(allow: readonly string[], deny: readonly string[]): RuleLists {
  return {
    allow: allow.map((text) => ({ image: text })),
    deny: deny.map((text) => ({ image: text })),
  }
}

describe('a star', () => {
  test('in a name matches as in a regular expression', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 })
    const name = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 })
    fc.assert(
      fc.property(text, name, (pattern, value) => {
        const expression = new RegExp(`^${pattern.replaceAll('*', '.*')}$`)
        assert.equal(matchesName(parseNamePattern(pattern), value), expression.test(value))
      }),
      { numRuns: 3_000 },
    )
  })

  test('in the parts of a name matches as in a regular expression', () => {
    const written = fc.array(fc.constantFrom('a', 'b', '*', 'a*', '**'), {
      minLength: 2,
      maxLength: 5,
    })
    const parts = fc.array(fc.constantFrom('a', 'b', 'ab', 'ba'), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(written, parts, (pattern, name) => {
        const [last, ...before] = pattern.toReversed()
        const expression = before
          .toReversed()
          .map((one) => (one === '**' ? '(?:[^/]+/)*' : `${one.replaceAll('*', '[^/]*')}/`))
          .join('')
        const end = last === '**' ? '[^/]+(?:/[^/]+)*' : last?.replaceAll('*', '[^/]*')
        assert.equal(
          fitsGlob(parseImageGlob(pattern.join('/')), { parts: name, suffix: ':x' }),
          new RegExp(`^${expression}${end}$`).test(name.join('/')),
          `${pattern.join('/')} ${name.join('/')}`,
        )
      }),
      { numRuns: 3_000 },
    )
  })
})
