import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { IdentityToken, PasswordCredentials } from '../../../src/upstream/credentials.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import { type TokenRequest, TokenSource } from '../../../src/upstream/token-source.ts'
import { type FakeAnswer, FakeSend } from '../../support/fake-send.ts'
import { FakeTimer } from '../../support/fake-timer.ts'

const signal = new AbortController().signal
const request: TokenRequest = {
  realm: new URL('https://auth.example/token?tenant=1'),
  service: 'r.example',
  scope: 'repository:a/b:pull',
  credentials: undefined,
}

function token(text: string, fields: object = {}): FakeAnswer {
  return { body: JSON.stringify({ token: text, ...fields }) }
}

function setUp(...answers: (FakeAnswer | Error)[]) {
  const fake = new FakeSend(...answers)
  const timer = new FakeTimer()
  return { fake, timer, tokens: new TokenSource(fake.send, timer) }
}

describe('a token is asked for', () => {
  test('with service and scope, and without Authorization by the anonymous', async () => {
    const { fake, tokens } = setUp(token('t'))
    assert.equal(await tokens.getToken(request, signal), 't')
    const [sent] = fake.requests
    assert.equal(sent?.method, 'GET')
    assert.equal(
      decodeURIComponent(sent?.url.href ?? ''),
      'https://auth.example/token?tenant=1&service=r.example&scope=repository:a/b:pull',
    )
    assert.equal(sent?.headers['authorization'], undefined)
  })

  test('with Basic by a user, in UTF-8', async () => {
    const { fake, tokens } = setUp(token('t'))
    const credentials = new PasswordCredentials('ü', 'p:ä')
    await tokens.getToken({ ...request, credentials }, signal)
    const expected = `Basic ${Buffer.from('ü:p:ä').toString('base64')}`
    assert.equal(fake.requests[0]?.headers['authorization'], expected)
  })

  test('by POST with an identity token, which stands in no URL', async () => {
    const { fake, tokens } = setUp({ body: '{"access_token":"t"}' })
    const credentials = new IdentityToken('refresh me')
    assert.equal(await tokens.getToken({ ...request, credentials }, signal), 't')
    const [sent] = fake.requests
    assert.equal(sent?.method, 'POST')
    assert.equal(sent?.url.href, request.realm.href)
    const form = new URLSearchParams(String(sent?.body))
    assert.equal(form.get('grant_type'), 'refresh_token')
    assert.equal(form.get('refresh_token'), 'refresh me')
    assert.equal(form.get('scope'), request.scope)
  })
})

describe('a token is used again', () => {
  const lives: [what: string, fields: object, seconds: number][] = [
    ['for 90 % of its life', { expires_in: 300 }, 270],
    ['as if it lived for 60 seconds when nothing is said', {}, 54],
    ['as if it lived for 60 seconds when it lives shorter', { expires_in: 5 }, 54],
    ['as if it lived for 60 seconds when its life is no number', { expires_in: '300' }, 54],
    ['for no more than a day', { expires_in: 1e9 }, 77_760],
  ]
  for (const [what, fields, seconds] of lives) {
    test(what, async () => {
      const { timer, tokens } = setUp(token('one', fields), token('two'))
      assert.equal(await tokens.getToken(request, signal), 'one')
      timer.advance(seconds * 1000 - 1)
      assert.equal(await tokens.getToken(request, signal), 'one')
      timer.advance(1)
      assert.equal(await tokens.getToken(request, signal), 'two')
    })
  }

  test('only for the same realm, service, scope and user', async () => {
    const { fake, tokens } = setUp(token('t'))
    const others: Partial<TokenRequest>[] = [
      {},
      { realm: new URL('https://other.example/token') },
      { service: 'other' },
      { scope: 'repository:c:pull' },
      { credentials: new PasswordCredentials('u', 'p') },
    ]
    for (const other of others) await tokens.getToken({ ...request, ...other }, signal)
    assert.equal(fake.requests.length, others.length)
  })

  test('until it is forgotten, and only that one', async () => {
    const { fake, tokens } = setUp(token('one'), token('two'))
    tokens.forgetToken(request, await tokens.getToken(request, signal))
    assert.equal(await tokens.getToken(request, signal), 'two')
    tokens.forgetToken(request, 'one')
    assert.equal(await tokens.getToken(request, signal), 'two')
    assert.equal(fake.requests.length, 2)
  })

  test('by all who need it at once: one request', async () => {
    const { fake, tokens } = setUp(token('t'))
    const all = Array.from({ length: 20 }, async () => await tokens.getToken(request, signal))
    assert.deepEqual(new Set(await Promise.all(all)), new Set(['t']))
    assert.equal(fake.requests.length, 1)
  })
})

describe('a token service fails', () => {
  const answers: [what: string, answer: FakeAnswer, problem: UpstreamError['problem']][] = [
    ['with a status', { status: 401 }, 'status'],
    ['with a web page', { body: '<html>' }, 'content'],
    ['with no object', { body: '[]' }, 'content'],
    ['without a token', { body: '{}' }, 'content'],
    ['with a token that fits in no header', token('a\r\nb'), 'content'],
    ['with more than is read', { body: `{"token":"${'x'.repeat(70_000)}"}` }, 'content'],
  ]
  for (const [what, answer, problem] of answers) {
    test(what, async () => {
      const { fake, tokens } = setUp(answer, token('t'))
      await assert.rejects(
        tokens.getToken(request, signal),
        (error) => error instanceof UpstreamError && error.problem === problem,
      )
      assert.equal(await tokens.getToken(request, signal), 't', 'a failure is not remembered')
      assert.equal(fake.requests.length, 2)
    })
  }
})
