import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import { followingRedirects } from '../../../src/upstream/redirect.ts'
import { type FakeAnswer, fakeRequest, FakeSend } from '../../support/fake-send.ts'

const url = 'https://r.example/v2/a/blobs/x'

function setUp(...answers: FakeAnswer[]) {
  const fake = new FakeSend(...answers)
  return { fake, send: followingRedirects(fake.send) }
}

function to(location: string, status = 307): FakeAnswer {
  return { status, headers: { location } }
}

describe('redirects', () => {
  const targets: [what: string, location: string, target: string][] = [
    ['an absolute URL', 'https://cdn.example/x?sig=1', 'https://cdn.example/x?sig=1'],
    ['a path', '/other', 'https://r.example/other'],
    ['a relative path', 'y', 'https://r.example/v2/a/blobs/y'],
    ['another host by the same scheme', '//cdn.example/x', 'https://cdn.example/x'],
    ['a URL with user and password', 'https://u:p@cdn.example/x#f', 'https://cdn.example/x'],
  ]
  for (const [what, location, target] of targets) {
    test(`to ${what} are followed`, async () => {
      const { fake, send } = setUp(to(location), { status: 200 })
      const response = await send(fakeRequest(url))
      assert.equal(response.url.href, target)
      assert.equal(fake.requests[1]?.url.href, target)
    })
  }

  for (const status of [301, 302, 303, 307, 308]) {
    test(`of status ${status} are followed`, async () => {
      const { send } = setUp(to('/y', status), { status: 200 })
      assert.equal((await send(fakeRequest(url))).status, 200)
    })
  }

  const origins: [what: string, target: string, kept: boolean][] = [
    ['another path of the origin', 'https://r.example/y', true],
    ['another host', 'https://cdn.example/y', false],
    ['another port', 'https://r.example:8443/y', false],
    ['a subdomain', 'https://a.r.example/y', false],
  ]
  for (const [what, target, kept] of origins) {
    test(`to ${what} ${kept ? 'keep' : 'lose'} Authorization and scope`, async () => {
      const { fake, send } = setUp(to(target), { status: 200 })
      const headers = { authorization: 'Bearer t', accept: 'a/b' }
      await send(fakeRequest(url, { headers, scope: 'repository:a:pull' }))
      const [, second] = fake.requests
      assert.equal(second?.headers['authorization'], kept ? 'Bearer t' : undefined)
      assert.equal(second?.scope, kept ? 'repository:a:pull' : undefined)
      assert.equal(second?.headers['accept'], 'a/b')
    })
  }

  test('from one foreign host back home do not bring Authorization back', async () => {
    const { fake, send } = setUp(to('https://cdn.example/y'), to(url), { status: 200 })
    await send(fakeRequest(url, { headers: { authorization: 'Bearer t' } }))
    assert.equal(fake.requests[2]?.headers['authorization'], undefined)
  })

  const refused: [what: string, location: string][] = [
    ['plain http', 'http://r.example/y'],
    ['a file', 'file:///etc/passwd'],
    ['data', 'data:text/plain,x'],
    ['no valid URL', 'https://'],
  ]
  for (const [what, location] of refused) {
    test(`to ${what} are refused`, async () => {
      const { fake, send } = setUp(to(location))
      await assert.rejects(
        send(fakeRequest(url)),
        (error) => error instanceof UpstreamError && error.problem === 'redirect',
      )
      assert.equal(fake.requests.length, 1)
    })
  }

  test('from plain http to plain http are followed', async () => {
    const { send } = setUp(to('http://b.example/y'), { status: 200 })
    assert.equal((await send(fakeRequest('http://a.example/x'))).status, 200)
  })

  test('end after five', async () => {
    const { fake, send } = setUp(to('/y'))
    await assert.rejects(send(fakeRequest(url)), /redirects more than 5 times/)
    assert.equal(fake.requests.length, 6)
  })

  test('without Location, and of a POST, are answers like any other', async () => {
    const without = setUp({ status: 307 })
    assert.equal((await without.send(fakeRequest(url))).status, 307)
    const post = setUp(to('/y'))
    assert.equal((await post.send(fakeRequest(url, { method: 'POST' }))).status, 307)
    assert.equal(post.fake.requests.length, 1)
  })
})
