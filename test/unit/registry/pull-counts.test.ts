import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OciError } from '../../../src/oci/errors.ts'
import { UpstreamError, type UpstreamProblem } from '../../../src/oci/upstream-error.ts'
import type { BlobReader } from '../../../src/registry/ports/blob-store.ts'
import { PullCounts } from '../../../src/registry/pull-counts.ts'

const host = 'a.example'

function failure(problem: UpstreamProblem, status?: number): UpstreamError {
  return new UpstreamError('no', { host, problem, ...(status !== undefined && { status }) })
}

function hostsOf(counts: PullCounts): string[] {
  return counts.all.map(({ host }) => host)
}

const none = { HIT: 0, MISS: 0, STALE: 0, COALESCED: 0, FAILED: 0 }

describe('pulls', () => {
  test('are counted by what they came to', async () => {
    const counts = new PullCounts({ hostsMax: 10 })
    for (const status of ['MISS', 'HIT', 'HIT', 'STALE', 'COALESCED'] as const) {
      assert.deepEqual(await counts.track(host, 'blob', Promise.resolve({ status })), { status })
    }
    await counts.track(host, 'manifest', Promise.resolve({ status: 'MISS' }))
    assert.deepEqual(counts.all[0]?.pulls, {
      blob: { HIT: 2, MISS: 1, STALE: 1, COALESCED: 1, FAILED: 0 },
      manifest: { ...none, MISS: 1 },
      tags: none,
      referrers: none,
    })
  })

  const cases: [what: string, error: unknown, failed: number][] = [
    ['an upstream that fails', failure('connection'), 1],
    ['an upstream that refuses the login', failure('status', 401), 1],
    ['a registry that is offline', failure('offline'), 1],
    ['an answer that there is no such thing', failure('status', 404), 0],
    ['a full disk', new OciError('STORAGE_FULL'), 0],
    ['a client that went away', new DOMException('gone', 'AbortError'), 0],
  ]
  for (const [what, error, failed] of cases) {
    test(`of ${what} ${failed ? 'have' : 'have not'} failed`, async () => {
      const counts = new PullCounts({ hostsMax: 10 })
      const told =
        error instanceof UpstreamError ? new OciError('UNKNOWN', { cause: error }) : error
      await assert.rejects(counts.track(host, 'manifest', Promise.reject(told)))
      assert.equal(counts.all[0]?.pulls.manifest.FAILED ?? 0, failed)
    })
  }
})

describe('bytes that are sent', () => {
  function readerOf(...chunks: readonly (number | Error)[]): BlobReader {
    return {
      size: 100,
      async *read() {
        for (const chunk of chunks) {
          if (chunk instanceof Error) throw chunk
          yield new Uint8Array(chunk)
        }
      },
      async [Symbol.asyncDispose]() {},
    }
  }

  for (const [status, saved] of [
    ['HIT', 30],
    ['COALESCED', 30],
    ['STALE', 30],
    ['MISS', 0],
  ] as const) {
    test(`are ${saved > 0 ? '' : 'not '}saved when the answer is a ${status}`, async () => {
      const counts = new PullCounts({ hostsMax: 10 })
      await Array.fromAsync(counts.watch(host, status, readerOf(10, 20)).read())
      assert.equal(counts.all[0]?.savedBytes ?? 0, saved)
    })
  }

  test('count as far as the client took them', async () => {
    const counts = new PullCounts({ hostsMax: 10 })
    let taken = 0
    for await (const chunk of counts.watch(host, 'HIT', readerOf(10, 20, 40)).read()) {
      taken += chunk.length
      if (taken === 30) break
    }
    assert.equal(counts.all[0]?.savedBytes, 10)
  })

  test('that end with the upstream’s failure are a pull that failed', async () => {
    const counts = new PullCounts({ hostsMax: 10 })
    for (const error of [failure('content'), new Error('this disk')]) {
      const reader = counts.watch(host, 'MISS', readerOf(10, error))
      await assert.rejects(Array.fromAsync(reader.read()))
    }
    assert.equal(counts.all[0]?.pulls.blob.FAILED, 1)
  })
})

describe('hosts', () => {
  test('are counted together when there are too many, but for those of the configuration', () => {
    const counts = new PullCounts({ hostsMax: 2 })
    for (const one of ['a', 'b', 'c', 'd', 'a']) counts.countRequest(one)
    counts.nameHosts(['listed', 'c'])
    for (const one of ['listed', 'c', 'e']) counts.countRequest(one)
    const requests = counts.all.map(({ host, requests }) => [host, requests])
    assert.deepEqual(requests, [
      ['a', 2],
      ['b', 1],
      ['other', 3],
      ['listed', 1],
      ['c', 1],
    ])
    assert.deepEqual(
      ['a', 'e', 'never'].map((one) => counts.labelOf(one)),
      ['a', 'other', 'other'],
    )
  })

  test('that are named later leave their place to another one', () => {
    const counts = new PullCounts({ hostsMax: 1 })
    counts.countRequest('a')
    counts.nameHosts(['a'])
    counts.countRequest('b')
    assert.deepEqual(hostsOf(counts), ['a', 'b'])
  })

  test('that must not be asked take nobody’s place', async () => {
    const counts = new PullCounts({ hostsMax: 10 })
    const denied = Promise.reject(new OciError('DENIED', { cause: failure('address') }))
    await assert.rejects(counts.track('made-up.internal', 'manifest', denied))
    assert.deepEqual(hostsOf(counts), ['other'])
  })
})
