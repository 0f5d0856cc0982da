// Access as a whole, in the three modes: open, login required, anonymous pull.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { AccessSettings } from '../../../src/auth/access.ts'
import { Authenticator } from '../../../src/auth/authenticator.ts'
import { ChallengeError, type Challenge } from '../../../src/auth/challenge.ts'
import { catalogScope } from '../../../src/auth/policy.ts'
import type { AuthenticatedPrincipal } from '../../../src/auth/principal.ts'
import { parseTokenForm, parseTokenQuery } from '../../../src/auth/token-request.ts'
import { limits } from '../../../src/config/limits.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { formatScope, parseScope, type Scope } from '../../../src/oci/scope.ts'
import type { Principal } from '../../../src/registry/request-context.ts'

const address = '192.0.2.1'
const user = { name: 'me', password: 'pa:ss' }
const closed: AccessSettings = { user, anonymousPull: false }
const readable: AccessSettings = { user, anonymousPull: true }
const open: AccessSettings = { anonymousPull: false }

const pull = scope('repository:a/b:pull')
const push = scope('repository:a/b:push')
const query = parseTokenQuery(new URLSearchParams())

function scope(text: string): Scope {
  return parseScope(text) ?? assert.fail(text)
}

function basic(name = user.name, password = user.password): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
}

function form(parameters: Record<string, string>) {
  return parseTokenForm(new URLSearchParams(parameters))
}

function setUp(settings: AccessSettings) {
  const clock = { ms: Date.UTC(2026, 0, 2), now: () => clock.ms }
  const signingKey = Buffer.alloc(32, 9)
  const restart = (settings: AccessSettings): Authenticator =>
    new Authenticator({ clock, monotonicClock: clock, signingKey }, settings)
  const authenticator = restart(settings)
  /** As a client gets one with this `Authorization` header. */
  const tokenFor = async (authorization: string | undefined, ...scopes: Scope[]) => {
    const who = await authenticator.authenticateTokenRequest(query, authorization, address)
    return `Bearer ${(await authenticator.issueToken(who, scopes)).token}`
  }
  return { clock, authenticator, restart, tokenFor }
}

async function challengeOf(work: () => unknown): Promise<Challenge> {
  try {
    await work()
  } catch (error) {
    if (error instanceof ChallengeError) return error.challenge
    throw error
  }
  return assert.fail('was not refused')
}

describe('without a configured user', () => {
  test('everyone may do everything, whatever login they still send', async () => {
    const { authenticator } = setUp(open)
    for (const header of [undefined, basic('old', 'login'), 'Bearer none', 'nonsense']) {
      const who = await authenticator.authenticate(header, address)
      for (const asked of [pull, push, catalogScope]) authenticator.authorize(who, asked)
      assert.equal(authenticator.authorizePing(who, 'docker/29'), undefined)
    }
    assert.equal(authenticator.loginRequired, false)
  })

  test('a token is given to whoever asks, and is worth nothing once there is a user', async () => {
    const { authenticator, tokenFor } = setUp(open)
    const token = await tokenFor(basic('any', 'body'), push)
    authenticator.authorize(await authenticator.authenticate(token, address), push)
    authenticator.reload(closed)
    assert.deepEqual(await challengeOf(() => authenticator.authenticate(token, address)), {
      error: 'invalid_token',
    })
    authenticator.reload(readable)
    const who = await authenticator.authenticate(token, address)
    assert.equal(who.allows(push), false)
  })
})

describe('with a user', () => {
  test('the login may do everything', async () => {
    const { authenticator } = setUp(closed)
    const who: AuthenticatedPrincipal & Principal = await authenticator.authenticate(
      basic(),
      address,
    )
    assert.equal(who.name, 'me')
    assert.ok(who.may('delete', parseRepositoryName('a/b')))
    for (const asked of [pull, push, catalogScope]) authenticator.authorize(who, asked)
    assert.equal(authenticator.authorizePing(who, undefined), undefined)
  })

  test('without a login there is nothing but a challenge with the scope to ask for', async () => {
    const { authenticator } = setUp(closed)
    const who = await authenticator.authenticate(undefined, address)
    assert.equal(authenticator.loginRequired, true)
    assert.deepEqual(await challengeOf(() => authenticator.authorize(who, pull)), { scope: pull })
    assert.deepEqual(await challengeOf(() => authenticator.authorizePing(who, undefined)), {})
  })

  for (const settings of [closed, readable]) {
    const mode = settings.anonymousPull ? 'with' : 'without'
    test(`a wrong login is refused ${mode} anonymous pull`, async () => {
      const { authenticator } = setUp(settings)
      for (const header of [basic('me', 'wrong'), basic('you'), basic('me', ''), 'Basic !']) {
        const attempt = authenticator.authenticate(header, address)
        await assert.rejects(attempt, {
          code: 'UNAUTHORIZED',
          message: 'wrong user name or password',
        })
      }
    })
  }

  test('an empty name with an empty password is no login', async () => {
    const { authenticator } = setUp(readable)
    const who = await authenticator.authenticate(basic('', ''), address)
    assert.equal(who.kind, 'anonymous')
  })

  test('too many wrong logins have to wait, and no longer than the window', async () => {
    const { authenticator, clock } = setUp(closed)
    for (let i = 0; i < limits.loginFailuresMax; i += 1) {
      const attempt = authenticator.authenticate(basic('me', `wrong ${i}`), address)
      await assert.rejects(attempt, { code: 'UNAUTHORIZED' })
    }
    await assert.rejects(authenticator.authenticate(basic(), address), {
      code: 'TOOMANYREQUESTS',
      headers: { 'Retry-After': String(limits.loginFailureWindowSeconds) },
    })
    clock.ms += limits.loginFailureWindowSeconds * 1000
    await authenticator.authenticate(basic(), address)
  })

  test('no error says anything of a password', async () => {
    const { authenticator } = setUp(closed)
    for (const header of [basic('me', 'hunter2'), 'hunter2', 'Bearer hunter2', 'Digest hunter2']) {
      await assert.rejects(authenticator.authenticate(header, address), (error) => {
        assert.ok(error instanceof OciError)
        assert.doesNotMatch(JSON.stringify([error, error.message, error.stack]), /hunter2|aHVud/)
        return true
      })
    }
  })
})

describe('with anonymous pull', () => {
  test('anonymous may pull and list, not push', async () => {
    const { authenticator } = setUp(readable)
    const who = await authenticator.authenticate(undefined, address)
    authenticator.authorize(who, pull)
    authenticator.authorize(who, catalogScope)
    assert.deepEqual(await challengeOf(() => authenticator.authorize(who, push)), { scope: push })
    assert.equal(authenticator.loginRequired, false)
  })

  test('the ping of anonymous succeeds, with a challenge for those that want to log in', async () => {
    const { authenticator } = setUp(readable)
    const who = await authenticator.authenticate(undefined, address)
    assert.deepEqual(authenticator.authorizePing(who, 'skopeo/1.18.0'), {})
    assert.deepEqual(authenticator.authorizePing(who, undefined), {})
  })

  test('the Docker engine is sent to the token service, where anonymous can pull too', async () => {
    const { authenticator, tokenFor } = setUp(readable)
    const userAgent = 'docker/29.0.1 go/go1.25 os/linux UpstreamClient(Docker-Client/29.0.1)'
    const who = await authenticator.authenticate(undefined, address)
    assert.deepEqual(await challengeOf(() => authenticator.authorizePing(who, userAgent)), {
      schemes: ['bearer'],
    })
    const token = await tokenFor(undefined, pull, push)
    const bearer = await authenticator.authenticate(token, address)
    assert.equal(authenticator.authorizePing(bearer, userAgent), undefined)
    authenticator.authorize(bearer, pull)
  })

  test('a token of anonymous holds the pull scopes only, and a login gets the rest', async () => {
    const { authenticator, tokenFor } = setUp(readable)
    const anonymous = await authenticator.authenticate(
      await tokenFor(undefined, pull, push),
      address,
    )
    assert.deepEqual(await challengeOf(() => authenticator.authorize(anonymous, push)), {
      scope: push,
      error: 'insufficient_scope',
    })
    const known = await authenticator.authenticate(await tokenFor(basic(), pull, push), address)
    authenticator.authorize(known, push)
  })
})

describe('a bearer token', () => {
  test('allows exactly what it says', async () => {
    const { authenticator, tokenFor } = setUp(closed)
    const who = await authenticator.authenticate(await tokenFor(basic(), pull), address)
    authenticator.authorize(who, pull)
    for (const asked of [push, scope('repository:a:pull'), catalogScope]) {
      assert.deepEqual(await challengeOf(() => authenticator.authorize(who, asked)), {
        scope: asked,
        error: 'insufficient_scope',
      })
    }
  })

  test('without scopes is a login for the ping and nothing else', async () => {
    const { authenticator, tokenFor } = setUp(closed)
    const who = await authenticator.authenticate(await tokenFor(basic()), address)
    assert.equal(authenticator.authorizePing(who, undefined), undefined)
    assert.equal(who.allows(pull), false)
  })

  test('survives a restart and a reload with the same password', async () => {
    const { authenticator, restart, tokenFor } = setUp(closed)
    const token = await tokenFor(basic(), push)
    authenticator.reload(readable)
    authenticator.authorize(await authenticator.authenticate(token, address), push)
    const next = restart(closed)
    next.authorize(await next.authenticate(token, address), push)
  })

  const changes: [about: string, settings: AccessSettings][] = [
    ['another password', { user: { name: 'me', password: 'other' }, anonymousPull: true }],
    ['another user', { user: { name: 'you', password: 'pa:ss' }, anonymousPull: true }],
  ]
  for (const [about, settings] of changes) {
    test(`is worth nothing after a change to ${about}`, async () => {
      const { authenticator, tokenFor } = setUp(readable)
      const token = await tokenFor(basic(), pull)
      await authenticator.authenticate(token, address)
      authenticator.reload(settings)
      assert.deepEqual(await challengeOf(() => authenticator.authenticate(token, address)), {
        error: 'invalid_token',
      })
      await assert.rejects(authenticator.authenticate(basic(), address), { code: 'UNAUTHORIZED' })
    })
  }

  test('of anonymous is worth nothing when anonymous may no longer pull', async () => {
    const { authenticator, tokenFor } = setUp(readable)
    const token = await tokenFor(undefined, pull)
    await authenticator.authenticate(token, address)
    authenticator.reload(closed)
    assert.deepEqual(await challengeOf(() => authenticator.authenticate(token, address)), {
      error: 'invalid_token',
    })
  })

  test('expires', async () => {
    const { authenticator, clock, tokenFor } = setUp(closed)
    const token = await tokenFor(basic(), pull)
    clock.ms += (limits.tokenTtlSeconds + limits.tokenClockSkewSeconds) * 1000
    assert.deepEqual(await challengeOf(() => authenticator.authenticate(token, address)), {
      error: 'invalid_token',
    })
  })

  test('is no login at the token endpoint', async () => {
    const { authenticator, tokenFor } = setUp(readable)
    const token = await tokenFor(basic(), pull)
    assert.deepEqual(
      await challengeOf(() => authenticator.authenticateTokenRequest(query, token, address)),
      { schemes: ['basic'] },
    )
  })

  test('goes on working for an address that must not log in any more', async () => {
    const { authenticator, tokenFor } = setUp(closed)
    const token = await tokenFor(basic(), pull)
    for (let i = 0; i < limits.loginFailuresMax; i += 1) {
      await assert.rejects(authenticator.authenticate(basic('me', `${i}`), address))
    }
    authenticator.authorize(await authenticator.authenticate(token, address), pull)
  })
})

describe('the token endpoint', () => {
  test('answers with what both specifications want', async () => {
    const { authenticator } = setUp(closed)
    const who = await authenticator.authenticateTokenRequest(query, basic(), address)
    const { token, ...issued } = await authenticator.issueToken(who, [pull, push])
    assert.deepEqual(issued, {
      access_token: token,
      expires_in: 3600,
      issued_at: '2026-01-02T00:00:00.000Z',
      scope: 'repository:a/b:pull,push',
    })
  })

  test('gives anonymous nothing where a login is required', async () => {
    const { authenticator } = setUp(closed)
    assert.deepEqual(
      await challengeOf(() => authenticator.authenticateTokenRequest(query, undefined, address)),
      { schemes: ['basic'] },
    )
  })

  test('takes a password form, and for one that wants to stay a refresh token', async () => {
    const { authenticator, restart } = setUp(closed)
    const login = form({ grant_type: 'password', username: 'me', password: 'pa:ss' })
    const who = await authenticator.authenticateTokenRequest(login, undefined, address)
    const issued = await authenticator.issueToken(who, [pull], { offline: true })
    const refresh = form({ grant_type: 'refresh_token', refresh_token: issued.refresh_token ?? '' })
    const next = restart(closed)
    const again = await next.authenticateTokenRequest(refresh, undefined, address)
    const { token } = await next.issueToken(again, [push])
    next.authorize(await next.authenticate(`Bearer ${token}`, address), push)
  })

  test('refuses a wrong password in a form', async () => {
    const { authenticator } = setUp(readable)
    const login = form({ grant_type: 'password', username: 'me', password: 'no' })
    await assert.rejects(authenticator.authenticateTokenRequest(login, undefined, address), {
      code: 'UNAUTHORIZED',
    })
  })

  test('refuses a refresh token of an old password, and an access token in its place', async () => {
    const { authenticator } = setUp(closed)
    const who = await authenticator.authenticateTokenRequest(query, basic(), address)
    const issued = await authenticator.issueToken(who, [], { offline: true })
    const refresh = form({ grant_type: 'refresh_token', refresh_token: issued.refresh_token ?? '' })
    const access = form({ grant_type: 'refresh_token', refresh_token: issued.token })
    const refused = { code: 'UNAUTHORIZED', message: /refresh token is not valid/ }
    await assert.rejects(
      authenticator.authenticateTokenRequest(access, undefined, address),
      refused,
    )
    authenticator.reload({ user: { name: 'me', password: 'other' }, anonymousPull: false })
    await assert.rejects(
      authenticator.authenticateTokenRequest(refresh, undefined, address),
      refused,
    )
  })

  test('never gives a refresh token to anonymous', async () => {
    const { authenticator } = setUp(readable)
    const who = await authenticator.authenticateTokenRequest(query, undefined, address)
    const issued = await authenticator.issueToken(who, [pull], { offline: true })
    assert.equal(issued.refresh_token, undefined)
  })

  test('a login that was made before the password changed gets no token of the new one', async () => {
    const { authenticator } = setUp(closed)
    const who = await authenticator.authenticateTokenRequest(query, basic(), address)
    authenticator.reload({ user: { name: 'me', password: 'other' }, anonymousPull: false })
    const { token } = await authenticator.issueToken(who, [push])
    assert.deepEqual(
      await challengeOf(() => authenticator.authenticate(`Bearer ${token}`, address)),
      { error: 'invalid_token' },
    )
  })
})

test('the part of scopes that a principal may have is granted', async () => {
  const { authenticator } = setUp(readable)
  const who = await authenticator.authenticate(undefined, address)
  assert.deepEqual(authenticator.grant(who, [pull, push]).map(formatScope), ['repository:a/b:pull'])
})
