/** Parts of a blob (RFC 9110, section 14): one range, several in a multipart answer, none that fits. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { assertError, makeBlob } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

let registry: Registry
before(async () => {
  registry = await startRegistry()
  await registry.pushBlob('range/blob', blob)
  await registry.pushBlob('range/blob', empty)
})
after(() => registry[Symbol.asyncDispose]())

/** Longer than a read buffer, so that ranges span several. */
const size = 3_000_000
const blob = makeBlob('ranges', size)
const empty = makeBlob('empty', 0)
const path = `/v2/range/blob/blobs/${blob.digest}`

const get = (range: string, headers = {}) =>
  registry.request('GET', path, { headers: { range, ...headers } })

function assertWhole(reply: Reply): void {
  assert.equal(reply.status, 200)
  assert.equal(reply.headers['content-range'], undefined)
  assert.equal(reply.header('content-length'), String(size))
  assert.ok(reply.body.equals(blob.bytes))
}

describe('one range', () => {
  const cases: [range: string, start: number, end: number][] = [
    ['bytes=0-0', 0, 0],
    ['bytes=0-99', 0, 99],
    ['bytes=1000-1999', 1000, 1999],
    ['bytes=1048575-1048576', 1_048_575, 1_048_576],
    [`bytes=${size - 1}-${size - 1}`, size - 1, size - 1],
    ['bytes=2999990-', 2_999_990, size - 1],
    ['bytes=0-', 0, size - 1],
    ['bytes=-1', size - 1, size - 1],
    ['bytes=-500000', size - 500_000, size - 1],
    ['bytes=-999999999', 0, size - 1],
    ['bytes=100-999999999', 100, size - 1],
    ['Bytes = 5-9', 5, 9],
    ['bytes=9999999-,5-9', 5, 9],
  ]
  for (const [range, start, end] of cases) {
    test(`is sent alone: ${range}`, async () => {
      const reply = await get(range)
      assert.equal(reply.status, 206)
      assert.equal(reply.header('content-range'), `bytes ${start}-${end}/${size}`)
      assert.equal(reply.header('content-length'), String(end - start + 1))
      assert.equal(reply.header('docker-content-digest'), blob.digest)
      assert.equal(reply.header('etag'), `"${blob.digest}"`)
      assert.equal(reply.header('accept-ranges'), 'bytes')
      assert.equal(reply.header('content-type'), 'application/octet-stream')
      assert.ok(reply.body.equals(blob.bytes.subarray(start, end + 1)))
    })
  }

  test('makes up for a broken download, as resuming clients do', async () => {
    const first = await get('bytes=0-1234566')
    const rest = await get('bytes=1234567-', { 'if-range': `"${blob.digest}"` })
    assert.equal(rest.status, 206)
    assert.ok(Buffer.concat([first.body, rest.body]).equals(blob.bytes))
  })
})

describe('no range at all', () => {
  for (const range of [
    'bytes',
    'bytes=',
    'bytes=a-b',
    'bytes=9-5-1',
    'bytes=-',
    'items=0-1',
    'bytes=0-1,x',
    '0-99',
  ]) {
    test(`is the whole blob: ${range}`, async () => assertWhole(await get(range)))
  }

  test('is the whole blob when there are too many ranges', async () => {
    const ranges = Array.from({ length: 17 }, (_, index) => `${index * 10}-${index * 10}`)
    assertWhole(await get(`bytes=${ranges.join(',')}`))
  })

  test('is the whole blob when the ranges together are more than it', async () => {
    assertWhole(await get('bytes=0-,0-,0-,0-'))
  })

  for (const value of ['"sha256:other"', 'Wed, 21 Oct 2015 07:28:00 GMT', `W/"${blob.digest}"`]) {
    test(`is the whole blob when If-Range does not name it: ${value}`, async () => {
      assertWhole(await get('bytes=0-9', { 'if-range': value }))
    })
  }

  test('is for HEAD, which tells of the whole blob', async () => {
    const reply = await registry.request('HEAD', path, { headers: { range: 'bytes=0-9' } })
    assert.equal(reply.status, 200)
    assert.equal(reply.header('content-length'), String(size))
  })
})

describe('a range outside of the blob', () => {
  for (const range of [
    'bytes=3000000-',
    'bytes=3000000-4000000',
    'bytes=-0',
    'bytes=9999999-,-0',
  ]) {
    test(`is refused with the blob's length: ${range}`, async () => {
      const reply = await get(range)
      assertError(reply, 416, 'RANGE_INVALID')
      assert.equal(reply.header('content-range'), `bytes */${size}`)
    })
  }

  test('is every range of an empty blob', async () => {
    const target = `/v2/range/blob/blobs/${empty.digest}`
    const reply = await registry.request('GET', target, { headers: { range: 'bytes=0-0' } })
    assertError(reply, 416, 'RANGE_INVALID')
    assert.equal(reply.header('content-range'), 'bytes */0')
  })
})

interface Part {
  readonly range: string
  readonly type: string
  readonly bytes: Buffer
}

/** By RFC 2046, from the boundary alone: part by part, with nothing left over. */
function parseMultipart(reply: Reply): Part[] {
  const [, boundary] =
    /^multipart\/byteranges; boundary=(.+)$/.exec(reply.header('content-type')) ?? []
  assert.ok(boundary)
  const parts: Part[] = []
  let rest = reply.body
  for (;;) {
    const delimiter: Buffer = Buffer.from(`\r\n--${boundary}`)
    assert.ok(rest.subarray(0, delimiter.length).equals(delimiter))
    rest = rest.subarray(delimiter.length)
    if (rest.toString() === '--\r\n') return parts
    const headEnd = rest.indexOf('\r\n\r\n')
    const head = rest.subarray(0, headEnd).toString()
    rest = rest.subarray(headEnd + 4)
    const [, range = '', start = '', end = ''] =
      /^content-range: (bytes (\d+)-(\d+)\/\d+)$/im.exec(head) ?? []
    const [, type = ''] = /^content-type: (.+)$/im.exec(head) ?? []
    const length = Number(end) - Number(start) + 1
    parts.push({ range, type, bytes: rest.subarray(0, length) })
    rest = rest.subarray(length)
  }
}

describe('several ranges', () => {
  const cases: [range: string, parts: [start: number, end: number][]][] = [
    [
      'bytes=0-0,-1',
      [
        [0, 0],
        [size - 1, size - 1],
      ],
    ],
    [
      'bytes=0-9, 20-29 ,40-',
      [
        [0, 9],
        [20, 29],
        [40, size - 1],
      ],
    ],
    [
      'bytes=500000-599999,100-199',
      [
        [500_000, 599_999],
        [100, 199],
      ],
    ],
    [
      'bytes=0-9,9999999-,20-29',
      [
        [0, 9],
        [20, 29],
      ],
    ],
    [
      'bytes=0-1199999,1500000-2899999',
      [
        [0, 1_199_999],
        [1_500_000, 2_899_999],
      ],
    ],
    [
      `bytes=${Array.from({ length: 16 }, (_, index) => `${index * 10}-${index * 10}`).join(',')}`,
      Array.from({ length: 16 }, (_, index) => [index * 10, index * 10]),
    ],
  ]
  for (const [range, expected] of cases) {
    test(`are sent part by part, in the order asked for: ${range}`, async () => {
      const reply = await get(range)
      assert.equal(reply.status, 206)
      assert.equal(reply.header('content-length'), String(reply.body.length))
      assert.equal(reply.headers['content-range'], undefined)
      assert.equal(reply.header('docker-content-digest'), blob.digest)
      const parts = parseMultipart(reply)
      assert.deepEqual(
        parts.map((part) => [part.range, part.type]),
        expected.map(([start, end]) => [
          `bytes ${start}-${end}/${size}`,
          'application/octet-stream',
        ]),
      )
      for (const [index, [start, end]] of expected.entries()) {
        assert.ok(parts[index]?.bytes.equals(blob.bytes.subarray(start, end + 1)))
      }
    })
  }
})
