import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { parseChallenges } from '../../../src/upstream/challenge.ts'

type Plain = [scheme: string, parameters: Record<string, string>]

function plain(header: string): Plain[] {
  return parseChallenges(header).map((c) => [c.scheme, Object.fromEntries(c.parameters)])
}

const cases: [what: string, header: string, challenges: Plain[]][] = [
  ['nothing', '', []],
  ['a scheme alone', 'Basic', [['basic', {}]]],
  ['a quoted parameter', 'Basic realm="a b"', [['basic', { realm: 'a b' }]]],
  ['a bare parameter', 'Basic realm=here', [['basic', { realm: 'here' }]]],
  [
    'the challenge of a registry, commas in a value included',
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",' +
      'scope="repository:library/x:pull,push"',
    [
      [
        'bearer',
        {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:library/x:pull,push',
        },
      ],
    ],
  ],
  [
    'escapes',
    String.raw`Basic realm="a \"b\" \\ c"`,
    [['basic', { realm: String.raw`a "b" \ c` }]],
  ],
  [
    'several challenges in one line',
    'Negotiate, Basic realm="a", charset="UTF-8", Bearer realm="https://b"',
    [
      ['negotiate', {}],
      ['basic', { realm: 'a', charset: 'UTF-8' }],
      ['bearer', { realm: 'https://b' }],
    ],
  ],
  [
    'a token in place of parameters',
    'Negotiate YIIabc==, Basic realm="a"',
    [
      ['negotiate', {}],
      ['basic', { realm: 'a' }],
    ],
  ],
  ['other cases of letters', 'BEARER Realm="x"', [['bearer', { realm: 'x' }]]],
  [
    'blanks around =',
    'Bearer realm = "x" , service= y',
    [['bearer', { realm: 'x', service: 'y' }]],
  ],
  ['empty list elements', ', ,Basic realm="x",,', [['basic', { realm: 'x' }]]],
  ['a parameter twice', 'Basic realm="x", realm="y"', [['basic', { realm: 'x' }]]],
  ['a parameter without scheme', 'realm="x", Basic', [['basic', {}]]],
  [
    'a quotation without end',
    'Bearer realm="x, service="y"',
    [['bearer', { realm: 'x, service=' }]],
  ],
  ['what makes no sense', '"?", Basic realm="x" junk, a=b', [['basic', { realm: 'x', a: 'b' }]]],
  ['names of Object.prototype', 'Basic __proto__="x"', [['basic', { ['__proto__']: 'x' }]]],
]

describe('WWW-Authenticate is parsed', () => {
  for (const [what, header, challenges] of cases) {
    test(what, () => assert.deepEqual(plain(header), challenges))
  }

  test('any text is parsed without an error', () => {
    const near = fc.string({ unit: fc.constantFrom(...'Ba=", \\;\t~/'.split('')), maxLength: 60 })
    fc.assert(
      fc.property(fc.oneof(near, fc.string({ unit: 'binary' })), (text) => {
        for (const { scheme } of parseChallenges(text)) assert.equal(scheme, scheme.toLowerCase())
      }),
      { numRuns: 2_000 },
    )
  })

  test('what was written is read back, whatever the values hold', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,9}$/)
    const value = fc.string({ unit: fc.constantFrom(...'ab ,="\\:/é'.split('')) })
    const challenge = fc.tuple(name, fc.dictionary(name, value, { minKeys: 1, maxKeys: 4 }))
    fc.assert(
      fc.property(fc.array(challenge, { maxLength: 4 }), (challenges) => {
        const header = challenges
          .map(([scheme, parameters]) => {
            const texts = Object.entries(parameters).map(
              ([key, text]) => `${key}="${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`,
            )
            return `${scheme} ${texts.join(', ')}`
          })
          .join(', ')
        assert.deepEqual(
          plain(header).map(([scheme, parameters]) => [scheme, { ...parameters }]),
          challenges.map(([scheme, parameters]) => [scheme, { ...parameters }]),
        )
      }),
    )
  })

  test('a long header is parsed to a bounded length', () => {
    assert.equal(parseChallenges('a="b, '.repeat(6_000)).length, 0)
    assert.equal(parseChallenges('Basic, '.repeat(6_000)).length, 16)
  })
})
