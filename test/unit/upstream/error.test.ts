import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { redactUrl, type UpstreamError } from '../../../src/oci/upstream-error.ts'
import { networkError } from '../../../src/upstream/network-error.ts'
import { retryAfterMs } from '../../../src/upstream/retry-after.ts'
import { statusError } from '../../../src/upstream/status-error.ts'
import { fakeRequest, fakeResponse } from '../../support/fake-send.ts'

const url = new URL('https://r.example:5000/v2/a/manifests/x?X-Amz-Signature=secret&n=5')

describe('an answer that means failure', () => {
  test('says who answered what to which request, with the codes of the body', async () => {
    const errors = [
      { code: 'UNAUTHORIZED', message: 'authentication required' },
      { code: 'DENIED', message: 'no' },
    ]
    const response = fakeResponse(url, { status: 401, body: JSON.stringify({ errors }) })
    const error = await statusError(fakeRequest(url.href), response, 0)
    assert.equal(
      error.message,
      'r.example:5000 answered 401 Unauthorized to GET https://r.example:5000/v2/a/manifests/x' +
        '?X-Amz-Signature=REDACTED&n=5: UNAUTHORIZED authentication required',
    )
    assert.deepEqual(error.codes, ['UNAUTHORIZED', 'DENIED'])
    assert.equal(error.host, 'r.example:5000')
    assert.equal(error.status, 401)
    assert.equal(error.retryable, false)
  })

  test('can be retried when it passes, after the time that the upstream names', async () => {
    const headers = { 'retry-after': '7' }
    const response = fakeResponse(url, { status: 429, headers })
    const error = await statusError(fakeRequest(url.href), response, 0)
    assert.equal(error.retryable, true)
    assert.equal(error.retryAfterMs, 7_000)
  })

  const bodies: [what: string, body: string][] = [
    ['a web page', '<html>login</html>'],
    ['nothing', ''],
    ['JSON of another shape', '{"errors":{"code":1}}'],
    ['errors of another shape', '{"errors":[null,1,{"code":5}]}'],
    ['more than is read', `{"errors":[{"code":"A","message":"${'x'.repeat(70_000)}"}]}`],
  ]
  for (const [what, body] of bodies) {
    test(`has no codes when its body is ${what}, and does not show it`, async () => {
      const error = await statusError(
        fakeRequest(url.href),
        fakeResponse(url, { status: 500, body }),
        0,
      )
      assert.deepEqual(error.codes, [])
      assert.ok(error.message.length < 200)
      assert.doesNotMatch(error.message, /html/)
    })
  }

  test('cannot write control sequences to a terminal or lines to a log', async () => {
    const body = JSON.stringify({
      errors: [{ code: 'A\u001b[2J', message: 'x\ny\u009b31m\u202e' }],
    })
    const error = await statusError(
      fakeRequest(url.href),
      fakeResponse(url, { status: 400, body }),
      0,
    )
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(error.message + error.codes.join(), /[\u0000-\u001f\u007f-\u009f\u202e]/)
  })
})

describe('a failure below HTTP', () => {
  const cases: [code: string, problem: UpstreamError['problem'], retryable: boolean][] = [
    ['ENOTFOUND', 'unresolved', false],
    ['EAI_AGAIN', 'unresolved', true],
    ['ECONNREFUSED', 'refused', true],
    ['ECONNRESET', 'connection', true],
    ['UND_ERR_SOCKET', 'connection', true],
    ['UND_ERR_CONNECT_TIMEOUT', 'timeout', true],
    ['UND_ERR_BODY_TIMEOUT', 'timeout', true],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate', false],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate', false],
    ['CERT_HAS_EXPIRED', 'certificate', false],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'protocol', false],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'protocol', false],
    ['HPE_INVALID_CONSTANT', 'protocol', false],
  ]
  for (const [code, problem, retryable] of cases) {
    test(`of code ${code} is a problem of kind ${problem}`, () => {
      const error = networkError(url, Object.assign(new Error('x'), { code }))
      assert.equal(error.problem, problem)
      assert.equal(error.retryable, retryable)
      assert.match(error.message, /r\.example:5000/)
    })
  }

  test('is known by its cause, or by the first of several addresses', () => {
    const inner = Object.assign(new Error('x'), { code: 'ECONNREFUSED' })
    assert.equal(networkError(url, new AggregateError([inner])).problem, 'refused')
    assert.equal(networkError(url, new Error('y', { cause: inner })).problem, 'refused')
    assert.equal(networkError(url, 'text').problem, 'connection')
  })
})

describe('URLs are shown without secrets', () => {
  const cases: [url: string, shown: string][] = [
    ['https://u:p@h/x', 'https://h/x'],
    ['https://h/t?token=s&service=a', 'https://h/t?token=REDACTED&service=a'],
    ['https://h/t?sig=1&sig=2', 'https://h/t?sig=REDACTED'],
    ['https://h/v2/_catalog?n=10&last=b#frag', 'https://h/v2/_catalog?n=10&last=b'],
  ]
  for (const [text, shown] of cases) {
    test(text, () => assert.equal(redactUrl(new URL(text)), shown))
  }
})

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  const cases: [value: string | undefined, ms: number | undefined][] = [
    ['0', 0],
    ['120', 120_000],
    ['9'.repeat(30), Number.MAX_SAFE_INTEGER],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
    ['soon', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['', undefined],
    [undefined, undefined],
  ]
  for (const [value, ms] of cases) {
    test(`${value} is ${ms} ms`, () => {
      assert.equal(retryAfterMs({ 'retry-after': value }, now), ms)
    })
  }
})
