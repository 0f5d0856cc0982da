// The view through proxies: what is believed of which header, and that nothing else gets through.

import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  clientView,
  parseForwarded,
  parseHost,
  type ClientView,
} from '../../../src/http/forwarded.ts'

const trusted = new BlockList()
trusted.addSubnet('10.0.0.0', 8, 'ipv4')

function view(headers: IncomingHttpHeaders, remoteAddress = '10.0.0.1', isTls = false): ClientView {
  return clientView({ remoteAddress, isTls, headers: { host: 'trow:8000', ...headers } }, trusted)
}

const direct: ClientView = {
  proto: 'http',
  host: 'trow:8000',
  clientAddress: '10.0.0.1',
  external: false,
}

const views: [about: string, headers: IncomingHttpHeaders, expected: Partial<ClientView>][] = [
  ['without proxy headers the request speaks for itself', {}, {}],
  [
    'X-Forwarded-Proto and -Host make the view external',
    { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'reg.example' },
    { proto: 'https', host: 'reg.example', external: true },
  ],
  [
    'X-Forwarded-Proto alone keeps the Host header',
    { 'x-forwarded-proto': 'HTTPS' },
    { proto: 'https', external: true },
  ],
  [
    'X-Forwarded-Port completes a host without one',
    {
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'reg.example',
      'x-forwarded-port': '8443',
    },
    { proto: 'https', host: 'reg.example:8443', external: true },
  ],
  [
    'X-Forwarded-Port does not change a host with a port',
    { 'x-forwarded-host': 'reg.example:5000', 'x-forwarded-port': '8443' },
    { host: 'reg.example:5000', external: true },
  ],
  [
    'X-Forwarded-Port completes the Host header',
    { host: 'reg.example', 'x-forwarded-port': '8443' },
    { host: 'reg.example:8443', external: true },
  ],
  [
    'the ports 80 and 443 are never written out',
    { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'reg.example', 'x-forwarded-port': '80' },
    { proto: 'https', host: 'reg.example', external: true },
  ],
  [
    'of several values the outermost proxy counts',
    { 'x-forwarded-proto': 'https, http', 'x-forwarded-host': 'reg.example, inner' },
    { proto: 'https', host: 'reg.example', external: true },
  ],
  [
    'X-Forwarded-For alone tells the client and nothing about URLs',
    { 'x-forwarded-for': '192.0.2.1' },
    { clientAddress: '192.0.2.1' },
  ],
  [
    'Forwarded tells everything',
    { forwarded: 'for=192.0.2.1;proto=https;host=reg.example;by=10.0.0.1' },
    { proto: 'https', host: 'reg.example', clientAddress: '192.0.2.1', external: true },
  ],
  [
    'Forwarded values may be quoted, names in any case',
    { forwarded: 'For="[2001:db8::1]:4711"; Proto=https; HOST="reg.example:8443"' },
    { proto: 'https', host: 'reg.example:8443', clientAddress: '2001:db8::1', external: true },
  ],
  [
    'Forwarded wins over X-Forwarded-*',
    {
      forwarded: 'proto=https;host=standard.example',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'older.example',
    },
    { proto: 'https', host: 'standard.example', external: true },
  ],
  [
    'a malformed Forwarded is as good as none',
    { forwarded: 'proto=https;host="reg', 'x-forwarded-host': 'older.example' },
    { host: 'older.example', external: true },
  ],
  [
    'Forwarded elements that an untrusted hop wrote are not believed',
    { forwarded: 'for=1.1.1.1;proto=https;host=evil.example, for=192.0.2.1' },
    { clientAddress: '192.0.2.1' },
  ],
  [
    'through two trusted proxies the outer one tells the URL',
    {
      forwarded:
        'for=192.0.2.1;proto=https;host=reg.example, for=10.0.0.2;proto=http;host=inner.example',
    },
    { proto: 'https', host: 'reg.example', clientAddress: '192.0.2.1', external: true },
  ],
  [
    'Forwarded and X-Forwarded-For that agree are believed',
    { forwarded: 'for=192.0.2.1', 'x-forwarded-for': '192.0.2.1' },
    { clientAddress: '192.0.2.1' },
  ],
  [
    'Forwarded and X-Forwarded-For that differ are not believed: one of them is the client’s',
    { forwarded: 'for=1.1.1.1', 'x-forwarded-for': '192.0.2.1' },
    { clientAddress: '10.0.0.1' },
  ],
  [
    'a Forwarded without for leaves the client to X-Forwarded-For',
    { forwarded: 'proto=https', 'x-forwarded-for': '192.0.2.1' },
    { proto: 'https', clientAddress: '192.0.2.1', external: true },
  ],
  [
    'values that are no protocol, host or port are ignored',
    {
      'x-forwarded-proto': 'gopher',
      'x-forwarded-host': 'evil.example/path?',
      'x-forwarded-port': '99999',
      'x-forwarded-for': 'unknown',
    },
    {},
  ],
]
for (const [about, headers, expected] of views) {
  test(about, () => {
    assert.deepEqual(view(headers), { ...direct, host: headers.host ?? direct.host, ...expected })
  })
}

test('nothing that an untrusted peer sends is believed', () => {
  for (const [, headers] of views) {
    assert.deepEqual(view({ ...headers, host: 'trow:8000' }, '192.0.2.9'), {
      ...direct,
      clientAddress: '192.0.2.9',
    })
  }
})

test('a trusted peer is recognized in IPv6 notation, and TLS is seen', () => {
  const headers = { 'x-forwarded-for': '192.0.2.1' }
  assert.deepEqual(view(headers, '::ffff:10.0.0.1', true), {
    ...direct,
    proto: 'https',
    clientAddress: '192.0.2.1',
  })
})

test('a connection that is gone has no address and trusts nobody', () => {
  const headers = { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': 'https' }
  assert.deepEqual(clientView({ remoteAddress: undefined, isTls: false, headers }, trusted), {
    proto: 'http',
    host: undefined,
    clientAddress: 'unknown',
    external: false,
  })
})

const hosts: [text: string | undefined, isHost: boolean][] = [
  ['reg.example', true],
  ['reg_1.example:5000', true],
  ['192.0.2.1:80', true],
  ['[2001:db8::1]', true],
  ['[2001:db8::1]:8443', true],
  ['[not-an-address]', false],
  ['[:::]', false],
  ['reg.example:0', false],
  ['reg.example:70000', false],
  ['user@reg.example', false],
  ['reg.example/path', false],
  ['reg.example"', false],
  ['reg.example\r\nX: y', false],
  ['', false],
  [undefined, false],
]
for (const [text, isHost] of hosts) {
  test(`${JSON.stringify(text)} is ${isHost ? 'a' : 'no'} host`, () => {
    assert.equal(parseHost(text), isHost ? text : undefined)
  })
}

const forwarded: [text: string, elements: Record<string, string>[] | undefined][] = [
  ['for=a', [{ for: 'a' }]],
  ['for=a;proto=b, for=c', [{ for: 'a', proto: 'b' }, { for: 'c' }]],
  ['for="a,b;c=\\"d\\\\"', [{ for: 'a,b;c="d\\' }]],
  ['for=""', [{ for: '' }]],
  ['for=a;, ,;for=b;', [{ for: 'a' }, { for: 'b' }]],
  ['', []],
  ['for', undefined],
  ['for=', undefined],
  ['for=a b', undefined],
  ['for=[::1]', undefined],
  ['for="a', undefined],
  ['for="a"b', undefined],
  ['for=a;FOR=b', undefined],
  ['=a', undefined],
]
for (const [text, elements] of forwarded) {
  test(`Forwarded: ${text} is ${elements ? 'read' : 'malformed'}`, () => {
    const parsed = parseForwarded(text)?.map((element) => Object.fromEntries(element))
    assert.deepEqual(parsed, elements)
  })
}

test('any Forwarded value that is written by the rules is read back', () => {
  const value = fc.string().filter((text) => !/[^\x20-\x7e]/.test(text))
  const names = fc.constantFrom('for', 'by', 'host', 'proto', 'x-token')
  const element = fc.dictionary(names, value, { minKeys: 1, noNullPrototype: true })
  fc.assert(
    fc.property(fc.array(element, { minLength: 1 }), (elements) => {
      const quote = (text: string): string => `"${text.replace(/["\\]/g, String.raw`\$&`)}"`
      const text = elements
        .map((pairs) =>
          Object.entries(pairs)
            .map(([name, value]) => `${name}=${quote(value)}`)
            .join(';'),
        )
        .join(', ')
      assert.deepEqual(
        parseForwarded(text)?.map((parsed) => Object.fromEntries(parsed)),
        elements,
      )
    }),
  )
})

test('whatever headers say, the view is a protocol, a plain host and an address', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom('for=', 'host=', 'proto=https', ';', ',', '"', '[::1]', '10.0.0.3', '8.8.8.8'),
  )
  const value = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''))
  const headers = fc.record(
    {
      host: value,
      forwarded: value,
      'x-forwarded-for': value,
      'x-forwarded-host': value,
      'x-forwarded-proto': value,
      'x-forwarded-port': value,
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(headers, (headers) => {
      const seen = clientView({ remoteAddress: '10.0.0.1', isTls: true, headers }, trusted)
      assert.match(seen.proto, /^https?$/)
      assert.notEqual(isIP(seen.clientAddress), 0)
      if (seen.host !== undefined) assert.match(seen.host, /^[a-z0-9._:[\]-]+$/i)
    }),
    { numRuns: 2000 },
  )
})

test('long runs of blanks and quotes cost no more than their length', () => {
  const started = performance.now()
  for (const filler of [' ', '"', '\\', 'a', '=', ';', ',']) {
    parseForwarded(`for=a${filler.repeat(60_000)}(`)
    parseForwarded(`${filler.repeat(60_000)}(`)
  }
  assert.ok(performance.now() - started < 500)
})
