import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { limits } from '../../../src/config/limits.ts'
import { parseDigest } from '../../../src/oci/digest.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import type { UpstreamCall } from '../../../src/registry/ports/upstream.ts'
import { PullCounts } from '../../../src/registry/pull-counts.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import {
  answering,
  cutting,
  failing,
  rateLimiting,
} from '../../support/fake-upstream-behaviours.ts'
import {
  entryFor,
  entryOf,
  settingsOf,
  targetOf,
  upstreamsOf,
} from '../../support/fake-upstream-settings.ts'
import { imageFixture } from '../../support/image-fixture.ts'

const call: UpstreamCall = { signal: new AbortController().signal, via: [] }
const latest = parseReference('latest')
const image = imageFixture()

async function startUpstream(): Promise<FakeUpstream> {
  const upstream = await FakeUpstream.start()
  upstream.content.addImage('team/app', image, 'latest')
  return upstream
}

describe('the states of all upstreams', () => {
  test('are known before anybody is asked, in the order of the configuration', async () => {
    const entries = [
      entryOf('b.example', { endpoints: ['mirror.example', 'b.example'] }),
      entryOf('a.example', { pathPrefix: 'team' }),
    ]
    await using driver = upstreamsOf(settingsOf(entries))
    const unknown = { breaker: 'closed', listed: true }
    assert.deepEqual(driver.upstreams.allStates(), [
      { host: 'b.example', endpoint: 'mirror.example', ...unknown },
      { host: 'b.example', ...unknown },
      { host: 'a.example', pathPrefix: 'team', ...unknown },
    ])
    assert.deepEqual(driver.upstreams.states(), [])
  })

  test('hold each upstream once when it was asked, and those without an entry after them', async () => {
    await using upstream = await startUpstream()
    const entries = [entryFor(upstream), entryFor(upstream, { pathPrefix: 'team' })]
    await using driver = upstreamsOf(settingsOf(entries))
    const { upstreams, timer } = driver
    await upstreams.getManifest(targetOf(upstream, 'team/app'), latest, call)
    const elsewhere = targetOf({ host: '127.0.0.1:1' }, 'app')
    await assert.rejects(upstreams.getManifest(elsewhere, latest, call), { problem: 'address' })
    const states = upstreams.allStates()
    assert.deepEqual(
      states.map(({ host, pathPrefix, listed, lastAnswerAt }) => [
        host,
        pathPrefix,
        listed,
        lastAnswerAt,
      ]),
      [
        [upstream.host, undefined, true, undefined],
        [upstream.host, 'team', true, timer.now()],
        ['127.0.0.1:1', undefined, false, undefined],
      ],
    )
  })

  test('outlast a reload that changes other entries', async () => {
    await using upstream = await startUpstream()
    await using driver = upstreamsOf(settingsOf([entryFor(upstream)]))
    await driver.upstreams.getManifest(targetOf(upstream, 'team/app'), latest, call)
    driver.upstreams.reload(settingsOf([entryOf('new.example'), entryFor(upstream)]))
    const [added, kept] = driver.upstreams.allStates()
    assert.equal(added?.lastAnswerAt, undefined)
    assert.equal(kept?.lastAnswerAt, driver.timer.now())
  })

  test('say until when an upstream is left alone, and why', async () => {
    await using upstream = await startUpstream()
    await using driver = upstreamsOf(settingsOf([entryFor(upstream)]))
    const { upstreams, timer } = driver
    const ask = async () =>
      await upstreams.getManifest(targetOf(upstream, 'team/app'), latest, call)
    upstream.use(rateLimiting('120'), { times: 1 })
    await assert.rejects(ask())
    const [limited] = upstreams.allStates()
    assert.equal(limited?.suspendedUntil, timer.now() + 120_000)
    assert.equal(limited?.suspendedFor, 'rate-limit')
    timer.advance(120_000)
    upstream.use(cutting())
    for (let i = 0; i < limits.upstreamBreakerFailuresMax; i++) await assert.rejects(ask())
    const [open] = upstreams.allStates()
    assert.equal(open?.suspendedFor, undefined)
    assert.equal(open?.breaker, 'open')
    assert.equal(open?.openUntil, timer.now() + limits.upstreamBreakerOpenSeconds * 1000)
  })

  test('tell of a 404 that no registry has written, and of none that one has', async () => {
    await using upstream = await startUpstream()
    await using driver = upstreamsOf(settingsOf([entryFor(upstream)]))
    const get = (repository: string) =>
      driver.upstreams.getManifest(targetOf(upstream, repository), latest, call)
    await assert.rejects(get('nothing'), { status: 404 })
    assert.equal(driver.upstreams.states()[0]?.lastFailure, undefined)
    upstream.use(answering(404, 'text/plain', 'default backend - 404'))
    await assert.rejects(get('team/app'), { status: 404 })
    const [state] = driver.upstreams.states()
    assert.match(state?.lastFailure?.message ?? '', /answered 404/)
    assert.equal(state?.breaker, 'closed')
  })

  test('tell of a refused login, which is an answer', async () => {
    await using upstream = await startUpstream()
    await using driver = upstreamsOf(settingsOf([entryFor(upstream)]))
    upstream.use(failing(403, 'DENIED'))
    const ask = driver.upstreams.getManifest(targetOf(upstream, 'team/app'), latest, call)
    await assert.rejects(ask)
    const [state] = driver.upstreams.allStates()
    assert.match(state?.lastFailure?.message ?? '', /403/)
    assert.equal(state?.lastAnswerAt, driver.timer.now())
  })
})

test('requests and bytes are counted for the host that images name', async () => {
  await using upstream = await startUpstream()
  const counts = new PullCounts({ hostsMax: 10 })
  const entries = [entryOf('named.example', { endpoints: [upstream.host] }), entryFor(upstream)]
  await using driver = upstreamsOf(settingsOf(entries), { counts })
  const target = targetOf({ host: 'named.example' }, 'team/app')
  upstream.use(failing(503), { times: 1 })
  const manifest = await driver.upstreams.getManifest(target, latest, call)
  const [layer] = image.blobs
  const digest = parseDigest(layer?.digest ?? '')
  const blob = await driver.upstreams.getBlob(target, digest, 0, call)
  await Array.fromAsync(blob.chunks)
  await blob[Symbol.asyncDispose]()
  const [counted, ...others] = counts.all
  assert.deepEqual(others, [])
  assert.equal(counted?.host, 'named.example')
  assert.equal(counted?.requests, 3)
  assert.equal(counted?.fetchedBytes, manifest.size + (layer?.bytes.length ?? 0))
})
