// The WWW-Authenticate lines, character by character: clients have picky parsers.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChallengeError, formatChallenges } from '../../../src/auth/challenge.ts'
import type { ChallengeOptions } from '../../../src/auth/challenge.ts'

const service = { realm: 'https://reg.example/token', service: 'trow_registry' }
const plain = 'Bearer realm="https://reg.example/token",service="trow_registry"'
const scope = { type: 'repository', name: 'a/b', actions: ['pull', 'push'] } as const

const challenges: [about: string, options: ChallengeOptions, lines: string[]][] = [
  ['both schemes, Bearer first', service, [plain, 'Basic realm="Trow"']],
  [
    'the scope to ask for',
    { ...service, scope },
    [`${plain},scope="repository:a/b:pull,push"`, 'Basic realm="Trow"'],
  ],
  [
    'the error of a token last',
    { ...service, scope, error: 'insufficient_scope' },
    [`${plain},scope="repository:a/b:pull,push",error="insufficient_scope"`, 'Basic realm="Trow"'],
  ],
  ['one scheme only', { ...service, schemes: ['bearer'] }, [plain]],
  ['the other scheme only', { ...service, schemes: ['basic'] }, ['Basic realm="Trow"']],
  [
    'quotes and backslashes escaped, what could end the header left out',
    { realm: 'https://a"b\\c\r\nX: é/token', service: 's', schemes: ['bearer'] },
    [String.raw`Bearer realm="https://a\"b\\cX: /token",service="s"`],
  ],
]
for (const [about, options, lines] of challenges) {
  test(`a challenge has ${about}`, () => assert.deepEqual(formatChallenges(options), lines))
}

test('without a token error docker-ls finds realm, service and scope by its own pattern', () => {
  const [first = ''] = formatChallenges({ ...service, scope })
  const dockerLs = /^\s*Bearer\s+realm="([^"]+)",service="([^"]+)",scope="([^"]+)"\s*$/
  assert.deepEqual(dockerLs.exec(first)?.slice(1), [
    service.realm,
    service.service,
    'repository:a/b:pull,push',
  ])
})

test('a challenge error is a 401 that names the scope', () => {
  const error = new ChallengeError({ scope })
  assert.equal(error.code, 'UNAUTHORIZED')
  assert.equal(error.status, 401)
  assert.equal(error.message, 'authentication required')
  assert.deepEqual(error.detail, { scope: 'repository:a/b:pull,push' })
  assert.equal(new ChallengeError({}).detail, undefined)
})
