import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Proxies } from '../../../src/upstream/proxies.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'

type Environment = Readonly<Record<string, string>>

function find(environment: Environment, url: string): string | undefined {
  return new Proxies(environment).find(new URL(url))?.href
}

describe('the proxy of a request', () => {
  const both = { HTTPS_PROXY: 'http://a.example:3128', HTTP_PROXY: 'http://b.example' }
  const cases: [environment: Environment, url: string, proxy: string | undefined][] = [
    [{}, 'https://docker.io', undefined],
    [both, 'https://docker.io', 'http://a.example:3128/'],
    [both, 'http://docker.io', 'http://b.example/'],
    [{ HTTP_PROXY: 'http://b.example' }, 'https://docker.io', undefined],
    [{ https_proxy: 'http://a.example' }, 'https://docker.io', 'http://a.example/'],
    [
      { https_proxy: 'http://b.example', HTTPS_PROXY: 'http://a.example' },
      'https://docker.io',
      'http://a.example/',
    ],
    [{ HTTPS_PROXY: 'a.example:3128' }, 'https://docker.io', 'http://a.example:3128/'],
    [{ HTTPS_PROXY: 'https://u:p@a.example' }, 'https://docker.io', 'https://u:p@a.example/'],
    [{ HTTPS_PROXY: '' }, 'https://docker.io', undefined],
  ]
  for (const [environment, url, proxy] of cases) {
    test(`${JSON.stringify(environment)} is ${proxy} for ${url}`, () => {
      assert.equal(find(environment, url), proxy)
    })
  }

  test('is never one for this machine itself', () => {
    const hosts = ['localhost', 'LOCALHOST', 'a.localhost', 'localhost.', '127.0.0.1', '127.9.9.9']
    for (const host of [...hosts, '[::1]']) {
      assert.equal(find(both, `https://${host}:5000`), undefined, host)
    }
  })

  const exemptions: [list: string, exempt: string[], others: string[]][] = [
    ['example.com', ['example.com', 'a.example.com', 'example.com:8443'], ['notexample.com']],
    ['.example.com', ['a.example.com', 'a.b.example.com'], ['example.com', 'xexample.com']],
    ['*.example.com', ['a.example.com'], ['example.com']],
    ['example.com:8443', ['example.com:8443', 'a.example.com:8443'], ['example.com']],
    ['example.com:443', ['example.com'], ['example.com:8443']],
    ['*', ['example.com', '192.0.2.1'], []],
    [' Example.com , ,b.example ', ['example.com', 'b.example', 'example.com.'], ['c.example']],
    ['10.0.0.0/8,192.0.2.7', ['10.1.2.3', '10.1.2.3:5000', '192.0.2.7'], ['11.0.0.1', '192.0.2.8']],
    ['192.0.2.7:5000', ['192.0.2.7:5000'], ['192.0.2.7']],
    ['fd00::/8,[2001:db8::1]:5000', ['[fd00::1]', '[2001:db8::1]:5000'], ['[2001:db8::1]']],
    ['svc,cluster.local', ['registry.ns.svc', 'registry.ns.svc.cluster.local'], ['svcx']],
    ['10.0.0.0/99', [], ['10.0.0.1']],
  ]
  for (const [list, exempt, others] of exemptions) {
    test(`is none for what NO_PROXY=${list} names`, () => {
      const environment = { ...both, no_proxy: list }
      for (const host of exempt) assert.equal(find(environment, `https://${host}`), undefined, host)
      for (const host of others) {
        assert.equal(find(environment, `https://${host}`), 'http://a.example:3128/', host)
      }
    })
  }
})

test('a proxy that is none is told of by the name of its variable alone', () => {
  for (const value of ['socks5://user:secret@a.example', 'http://user:secret@[', '://secret']) {
    const proxies = new Proxies({ HTTPS_PROXY: value })
    assert.throws(
      () => proxies.find(new URL('https://docker.io')),
      (error) => {
        assert.ok(error instanceof UpstreamError)
        assert.match(error.message, /docker\.io.*HTTPS_PROXY/)
        assert.doesNotMatch(error.message, /secret|user/)
        return true
      },
    )
    assert.deepEqual(proxies.describe(), { HTTPS_PROXY: 'not the URL of a proxy' })
  }
})

test('what is in force is told without user and password', () => {
  assert.equal(new Proxies({ NO_PROXY: '*' }).describe(), undefined)
  const environment = { HTTPS_PROXY: 'http://user:secret@a.example:3128', http_proxy: 'b.example' }
  assert.deepEqual(new Proxies(environment).describe(), {
    HTTPS_PROXY: 'a.example:3128',
    HTTP_PROXY: 'b.example',
  })
})
