import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { limits } from '../../../src/config/limits.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import { RequestTurns } from '../../../src/upstream/request-turns.ts'
import type { Timer } from '../../../src/upstream/timer.ts'
import { parseDigest } from '../../../src/oci/digest.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import { Gate, holding } from '../../support/fake-upstream-behaviours.ts'
import {
  entryFor,
  settingsOf,
  targetOf,
  upstreamsOf,
} from '../../support/fake-upstream-settings.ts'
import { imageFixture } from '../../support/image-fixture.ts'

const host = 'upstream.example'
const latest = parseReference('latest')
const image = imageFixture({ layers: 2, layerBytes: 10_000 })
const forever = { signal: new AbortController().signal, via: [] }

/** Time that passes when a test says so: who waits for it waits until then. */
class StandingTimer implements Timer {
  #now = 0
  #passed = Promise.withResolvers<void>()

  now(): number {
    return this.#now
  }

  advance(milliseconds: number): void {
    this.#now += milliseconds
    this.#passed.resolve()
    this.#passed = Promise.withResolvers<void>()
  }

  async wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const until = this.#now + milliseconds
    const { promise: aborted, reject } = Promise.withResolvers<never>()
    signal.addEventListener('abort', () => reject(signal.reason))
    while (this.#now < until) await Promise.race([this.#passed.promise, aborted])
  }
}

function timeout(): UpstreamError {
  return new UpstreamError('too late', { host, problem: 'timeout', retryable: true })
}

/** A call whose time runs out when the test says so. */
function patience() {
  const controller = new AbortController()
  const { signal } = controller
  return { signal, call: { signal, via: [] }, end: () => controller.abort(timeout()) }
}

describe('requests that wait for their turn', () => {
  test('and give it up leave it to the others, who need not wait for it', async () => {
    const timer = new StandingTimer()
    const turns = new RequestTurns(host, 1, timer)
    await turns.take(forever.signal)
    const deadline = patience()
    const waiting = Array.from({ length: 100 }, () => turns.take(deadline.signal))
    const last = turns.take(forever.signal)
    deadline.end()
    await Promise.all(waiting.map((turn) => assert.rejects(turn, { problem: 'suspended', host })))
    timer.advance(1_000)
    await last
    timer.advance(1_000)
    await turns.take(forever.signal)
  })

  test('are bounded in number, and told when to come again', async () => {
    const timer = new StandingTimer()
    const turns = new RequestTurns(host, 1, timer)
    await turns.take(forever.signal)
    const deadline = patience()
    const count = limits.upstreamTurnsWaitingMax + 1
    const waiting = Array.from({ length: count }, () => turns.take(deadline.signal))
    await assert.rejects(turns.take(forever.signal), {
      problem: 'suspended',
      retryAfterMs: 1_000 * count,
    })
    deadline.end()
    await Promise.allSettled(waiting)
  })

  test('are not failures of the upstream, which is not left alone for that', async () => {
    await using upstream = await FakeUpstream.start()
    upstream.content.addImage('app', image, 'latest')
    const timer = new StandingTimer()
    const settings = settingsOf([entryFor(upstream, { requestsPerSecond: 2 })])
    await using driver = upstreamsOf(settings, { timer })
    const target = targetOf(upstream, 'app')
    // The burst.
    for (const _ of [1, 2]) await driver.upstreams.getManifest(target, latest, forever)
    for (let time = 0; time < 2 * limits.upstreamBreakerFailuresMax; time += 1) {
      const deadline = patience()
      const head = driver.upstreams.headManifest(target, latest, deadline.call)
      setImmediate(deadline.end)
      await assert.rejects(head, { problem: 'suspended' })
    }
    timer.advance(1_000)
    await driver.upstreams.headManifest(target, latest, forever)
    assert.equal(driver.upstreams.states()[0]?.lastFailure, undefined)
  })
})

describe('blobs in transfer', () => {
  async function startScene(maxConnections: number) {
    const upstream = await FakeUpstream.start()
    upstream.content.addImage('app', image, 'latest')
    const gate = new Gate()
    upstream.use(holding(gate, 1_000), { on: /blobs/ })
    const driver = upstreamsOf(settingsOf([entryFor(upstream, { maxConnections })]))
    const target = targetOf(upstream, 'app')
    // The config is too small to be held.
    const [first, second] = image.blobs.slice(1).map(({ digest }) => parseDigest(digest))
    assert.ok(first !== undefined && second !== undefined)
    return {
      ...driver,
      upstream,
      gate,
      target,
      first,
      second,
      async [Symbol.asyncDispose]() {
        gate.open()
        await driver[Symbol.asyncDispose]()
        await upstream[Symbol.asyncDispose]()
      },
    }
  }

  test('leave connections to all that is not one', async () => {
    await using scene = await startScene(2)
    const { upstreams, target } = scene
    await using blob = await upstreams.getBlob(target, scene.first, 0, forever)
    const waits = upstreams.getBlob(target, scene.second, 0, forever)
    const signal = AbortSignal.timeout(5_000)
    const { digest } = await upstreams.getManifest(target, latest, { signal, via: [] })
    assert.equal(digest, image.root.digest)
    const { log } = scene.upstream
    assert.equal(log.filter((line) => line.includes('/blobs/')).length, 1)
    await blob[Symbol.asyncDispose]()
    await using next = await waits
    assert.equal(next.size, image.blobs[2]?.bytes.length)
  })

  test('that do not come to it in time say nothing of the upstream', async () => {
    await using scene = await startScene(1)
    const { upstreams, target } = scene
    await using blob = await upstreams.getBlob(target, scene.first, 0, forever)
    for (let time = 0; time < 2 * limits.upstreamBreakerFailuresMax; time += 1) {
      const deadline = patience()
      const waits = upstreams.getBlob(target, scene.second, 0, deadline.call)
      setImmediate(deadline.end)
      await assert.rejects(waits, { problem: 'suspended' })
    }
    await blob[Symbol.asyncDispose]()
    await using next = await upstreams.getBlob(target, scene.second, 0, forever)
    assert.equal(next.offset, 0)
  })
})
