// Tokens: what is in them, how long they count, and forgeries of every part.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import { Tokens, tokenService, type TokenClaims } from '../../../src/auth/token.ts'
import { limits } from '../../../src/config/limits.ts'

const start = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
const key = Buffer.alloc(32, 1)
const ttl = 3600
const claims: TokenClaims = {
  subject: 'me',
  fingerprint: 'print',
  access: [{ type: 'repository', name: 'a/b', actions: ['pull', 'push'] }],
}

function setUp() {
  const clock = { ms: start, now: () => clock.ms }
  return { clock, tokens: new Tokens({ clock, signingKey: key }) }
}

/** Signs what our own code never would. */
function sign(payload: object, { alg = 'HS256', typ = 'JWT', secret = key } = {}): Promise<string> {
  const now = Math.floor(start / 1000)
  const good = {
    iss: 'trow',
    sub: 'me',
    aud: tokenService,
    iat: now,
    nbf: now,
    exp: now + ttl,
    jti: 'x',
    access: [],
  }
  return new SignJWT({ ...good, ...payload }).setProtectedHeader({ alg, typ }).sign(secret)
}

/** jose itself refuses to use so short a key for HS512. */
function resign(token: string, alg: string): string {
  const header = Buffer.from(JSON.stringify({ alg, typ: 'JWT' })).toString('base64url')
  const signed = `${header}.${token.split('.')[1]}`
  const signature = createHmac('sha512', key).update(signed).digest('base64url')
  return `${signed}.${signature}`
}

test('a token says what the specification wants and is read back', async () => {
  const { tokens } = setUp()
  const token = await tokens.issue('access', claims, ttl)
  const { jti, ...payload } = decodeJwt(token)
  assert.match(jti ?? '', /^[0-9a-f-]{36}$/)
  assert.deepEqual(payload, {
    iss: 'trow',
    sub: 'me',
    aud: 'trow_registry',
    iat: Math.floor(start / 1000),
    nbf: Math.floor(start / 1000),
    exp: Math.floor(start / 1000) + ttl,
    access: [{ type: 'repository', name: 'a/b', actions: ['pull', 'push'] }],
    cred: 'print',
  })
  const { subject, fingerprint, access } = (await tokens.verify('access', token)) ?? {}
  assert.deepEqual({ subject, fingerprint, access }, claims)
})

test('a token outlives the process that issued it', async () => {
  const token = await setUp().tokens.issue('access', claims, ttl)
  assert.equal((await setUp().tokens.verify('access', token))?.subject, 'me')
})

test('a token ends at its time and the skew of clocks, remembered or not', async () => {
  for (const isRemembered of [true, false]) {
    const { clock, tokens } = setUp()
    const token = await tokens.issue('access', claims, ttl)
    if (isRemembered) assert.ok(await tokens.verify('access', token))
    const end = Math.floor(start / 1000) + ttl + limits.tokenClockSkewSeconds
    clock.ms = end * 1000 - 1
    assert.ok(await tokens.verify('access', token))
    clock.ms = end * 1000
    assert.equal(await tokens.verify('access', token), undefined)
  }
})

test('a token of a replica whose clock is ahead counts within the skew', async () => {
  const { clock, tokens } = setUp()
  const token = await tokens.issue('access', claims, ttl)
  clock.ms = start - limits.tokenClockSkewSeconds * 1000
  assert.ok(await tokens.verify('access', token))
  clock.ms -= 2000
  const { tokens: another } = { tokens: new Tokens({ clock, signingKey: key }) }
  assert.equal(await another.verify('access', token), undefined)
})

test('a refresh token is no access token, nor the other way round', async () => {
  const { tokens } = setUp()
  const refresh = await tokens.issue('refresh', claims, ttl)
  const access = await tokens.issue('access', claims, ttl)
  assert.equal(decodeProtectedHeader(refresh).typ, 'refresh+jwt')
  assert.ok(await tokens.verify('refresh', refresh))
  assert.equal(await tokens.verify('access', refresh), undefined)
  assert.equal(await tokens.verify('refresh', access), undefined)
})

const refused: [about: string, token: () => string | Promise<string>][] = [
  ['of another key', () => sign({}, { secret: Buffer.alloc(32, 2) })],
  ['of another algorithm under our key', async () => resign(await sign({}), 'HS512')],
  ['of another issuer', () => sign({ iss: 'other' })],
  ['for another audience', () => sign({ aud: 'other' })],
  ['of another type', () => sign({}, { typ: 'refresh+jwt' })],
  ['without access', () => sign({ access: undefined })],
  ['with an access that is no list', () => sign({ access: 'all' })],
  ['with an access that is no scope', () => sign({ access: [{ type: 'repository' }] })],
  ['without an end', () => sign({ exp: undefined })],
  ['without a subject', () => sign({ sub: undefined })],
  ['with a fingerprint that is no text', () => sign({ cred: 1 })],
  ['that is not one', () => 'not.a.token'],
  ['that is empty', () => ''],
  ['that is too long', () => sign({ padding: 'x'.repeat(limits.tokenBytesMax) })],
]
for (const [about, token] of refused) {
  test(`a token ${about} is refused`, async () => {
    assert.equal(await setUp().tokens.verify('access', await token()), undefined)
  })
}

test('a token that says it needs no signature is refused', async () => {
  const [, payload = ''] = (await sign({})).split('.')
  const header = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
  assert.equal(await setUp().tokens.verify('access', `${header}.${payload}.`), undefined)
})

test('a changed token is refused even after the true one was seen', async () => {
  const { tokens } = setUp()
  const token = await tokens.issue('access', claims, ttl)
  assert.ok(await tokens.verify('access', token))
  const [header, payload = '', signature] = token.split('.')
  const more = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), sub: 'root' }
  const forged = Buffer.from(JSON.stringify(more)).toString('base64url')
  assert.equal(await tokens.verify('access', `${header}.${forged}.${signature}`), undefined)
})

test('access that no header can carry is refused when it is asked for', async () => {
  const access = Array.from({ length: 64 }, (_, i) => ({
    type: 'repository',
    name: `${i}/`.padEnd(255, 'x'),
    actions: ['pull' as const],
  }))
  await assert.rejects(setUp().tokens.issue('access', { subject: 'me', access }, ttl), {
    code: 'UNSUPPORTED',
    status: 400,
  })
})
