// Requests in forms that two readers may take for different things, and what is no request at all:
// each is refused as a whole, the connection ends, and nothing behind it is ever taken for a request.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { makeBlob, pushTag } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
before(async () => {
  registry = await startRegistry()
  await pushTag(registry, 'forms/any', 'v1')
})
after(() => registry[Symbol.asyncDispose]())

const smuggled = '/v2/forms/smuggled/tags/list'
const behind = `GET ${smuggled} HTTP/1.1\r\nHost: a\r\n\r\n`

/** Sends the bytes and the end of the connection. @returns the statuses of all answers. */
async function statusesOf(text: string): Promise<number[]> {
  using connection = await RawConnection.open(registry.url)
  connection.write(Buffer.from(text, 'latin1'))
  connection.socket.end()
  const received = (await connection.readToEnd()).toString('latin1')
  return [...received.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status))
}

function get(...headers: readonly string[]): string {
  return ['GET /v2/ HTTP/1.1', 'Host: a', ...headers, '', ''].join('\r\n')
}

function post(headers: readonly string[], body: string): string {
  const path = `/v2/forms/any/blobs/uploads/?digest=${makeBlob('forms').digest}`
  return `${[`POST ${path} HTTP/1.1`, 'Host: a', ...headers, '', ''].join('\r\n')}${body}`
}

const chunked = 'Transfer-Encoding: chunked'

describe('a request of two meanings', () => {
  const cases: [name: string, bytes: string][] = [
    ['two lengths', post(['Content-Length: 3', 'Content-Length: 5'], 'abc')],
    ['the same length twice', post(['Content-Length: 3', 'Content-Length: 3'], 'abc')],
    ['a list of lengths', post(['Content-Length: 3, 3'], 'abc')],
    ['a length with a sign', post(['Content-Length: +3'], 'abc')],
    ['a negative length', post(['Content-Length: -1'], '')],
    ['a hexadecimal length', post(['Content-Length: 0x3'], 'abc')],
    ['a length beyond all numbers', post([`Content-Length: ${'9'.repeat(30)}`], 'abc')],
    ['an empty length', post(['Content-Length:'], '')],
    ['a length and chunks', post(['Content-Length: 3', chunked], '0\r\n\r\n')],
    ['chunks and a length', post([chunked, 'Content-Length: 3'], '0\r\n\r\n')],
    ['chunked twice', post([chunked, chunked], '0\r\n\r\n')],
    ['a coding that is not the last', post(['Transfer-Encoding: chunked, gzip'], '0\r\n\r\n')],
    ['a coding nobody knows', post(['Transfer-Encoding: xchunked'], '0\r\n\r\n')],
    ['a coding in disguise', post(['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n')],
    ['another coding before chunked', post(['Transfer-Encoding: gzip, chunked'], '0\r\n\r\n')],
    ['chunks in HTTP/1.0', post([chunked], '0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0')],
    ['a chunk of no number', post([chunked], 'xyz\r\nabc\r\n0\r\n\r\n')],
    ['a chunk of a negative number', post([chunked], '-1\r\nabc\r\n0\r\n\r\n')],
    ['a chunk beyond all numbers', post([chunked], `${'f'.repeat(20)}\r\nabc\r\n0\r\n\r\n`)],
    ['a chunk longer than it says', post([chunked], '3\r\nabcd\r\n0\r\n\r\n')],
    ['a chunk that ends in a line feed', post([chunked], '3\nabc\n0\n\n')],
    ['a chunk with a space in its size', post([chunked], '3 \r\nabc\r\n0\r\n\r\n')],
    ['a length among the trailers', post([chunked], '0\r\nContent-Length: 5\r\n\r\n')],
    ['a folded header', get('X: a', ' b')],
    ['a folded length', post(['Content-Length:', ' 3'], 'abc')],
    ['a space before the colon', get('X : a')],
    ['a space before the colon of a coding', post(['Transfer-Encoding : chunked'], '0\r\n\r\n')],
    ['a space before the first header', get().replace('Host', ' Host')],
    ['lines that end in a line feed', get().replaceAll('\r\n', '\n')],
    ['one line that ends in a line feed', get('X: a\nY: b')],
    ['one line that ends in a carriage return', get('X: a\rY: b')],
    ['NUL in a header', get('X: a\0b')],
    ['NUL in the name of a header', get('X\0: a')],
    ['NUL in the path', get().replace('/v2/', '/v2/\0')],
    ['a name that is no ASCII', get('X\xe4: a')],
    ['a header without a colon', get('nothing')],
    ['a header without a name', get(': a')],
    ['two hosts', get('Host: b')],
    ['two hosts, differently written', get('hOST: a')],
    ['another version', get().replace('HTTP/1.1', 'HTTP/1.2')],
    ['HTTP/2 in the dress of HTTP/1', get().replace('HTTP/1.1', 'HTTP/2.0')],
    ['a method in lower case', get().replace('GET', 'get')],
    ['a method that is none', get().replace('GET', 'SMUGGLE')],
  ]
  for (const [name, bytes] of cases) {
    test(`is refused: ${name}`, async () => {
      assert.deepEqual(await statusesOf(bytes + behind), [400])
    })
  }

  test('leaves nothing behind it that was served', () => {
    const served = registry.logs().filter((line) => line['path'] === smuggled)
    assert.deepEqual(served, [])
  })
})

describe('what is no HTTP/1', () => {
  const cases: [name: string, bytes: string][] = [
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'],
    ['the hello of TLS', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'],
    [
      'bytes of all values',
      Buffer.from(Array.from({ length: 256 }, (_, n) => n)).toString('latin1'),
    ],
    ['the hello of a proxy', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n'],
  ]
  for (const [name, bytes] of cases) {
    test(`is refused: ${name}`, async () => {
      assert.deepEqual(await statusesOf(`${bytes}\r\n\r\n${behind}`), [400])
    })
  }
})

describe('a client that wants another protocol', () => {
  const upgrades: [name: string, headers: Record<string, string>][] = [
    ['websocket', { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' }],
    [
      'h2c',
      { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABk' },
    ],
    ['nothing there is', { Connection: 'upgrade', Upgrade: 'x/1, y/2' }],
  ]
  for (const [name, headers] of upgrades) {
    test(`gets its answer in this one, and the connection goes on: ${name}`, async () => {
      using connection = await RawConnection.open(registry.url)
      for (let round = 0; round < 2; round += 1) {
        connection.writeHead('GET', '/v2/forms/any/tags/list', headers)
        const reply = await connection.readReply()
        assert.deepEqual([reply.status, reply.json()], [200, { name: 'forms/any', tags: ['v1'] }])
        connection.writeHead('GET', '/v2/')
        assert.equal((await connection.readReply()).status, 200)
      }
    })
  }

  test('a tunnel is not given to anybody', async () => {
    const bytes = 'CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n'
    assert.deepEqual(await statusesOf(bytes + behind), [])
    assert.equal((await registry.request('GET', '/v2/')).status, 200)
  })
})

describe('more than anybody needs', () => {
  const long = 'x'.repeat(40_000)
  const cases: [name: string, bytes: string, statuses: number[]][] = [
    ['a header', get(`X: ${long}`), [431]],
    ['many headers', get(...Array<string>(20_000).fill('a:b')), [431]],
    ['a path', get().replace('/v2/', `/v2/${long}`), [431]],
    ['a method', `${long} / HTTP/1.1\r\n\r\n`, [400]],
    ['trailers', post([chunked], `0\r\n${'a: b\r\n'.repeat(20_000)}\r\n`), [431]],
    ['what a chunk says of itself', post([chunked], `1;${long}\r\nx\r\n0\r\n\r\n`), [400]],
    ['a name', get().replace('/v2/', `/v2/${'a/'.repeat(15_000)}b/tags/list`), [400]],
    ['segments', get().replace('/v2/', `/${'/'.repeat(30_000)}`), [404]],
    ['a query', get().replace('/v2/', `/v2/?${'a&'.repeat(15_000)}`), [200]],
    ['ranges', get(`Range: bytes=${'0-1,'.repeat(7_000)}0-1`), [200]],
    ['media types', get(`Accept: ${'a/b;q=0.1,'.repeat(3_000)}c/d`), [200]],
    ['a credential', get(`Authorization: Basic ${'QUFB'.repeat(7_500)}`), [200]],
  ]
  for (const [name, bytes, statuses] of cases) {
    test(`is answered at once: ${name}`, async () => {
      const started = performance.now()
      assert.deepEqual(await statusesOf(bytes), statuses)
      assert.ok(performance.now() - started < 5_000)
    })
  }

  test('a request that has begun is not mixed up with an answer to what is wrong in it', async () => {
    const manifest = post([chunked], 'ffff\r\nabc')
    assert.deepEqual(await statusesOf(manifest), [])
  })
})

test('after all of them the registry has had no error of its own', async () => {
  assert.equal((await registry.request('GET', '/v2/forms/any/tags/list')).status, 200)
  const errors = registry.logs().filter(({ level }) => level === 'error' || level === 'fatal')
  assert.deepEqual(errors, [])
})
