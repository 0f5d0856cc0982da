import assert from 'node:assert/strict'
import { describe, mock, test } from 'node:test'
import { limits } from '../../../src/config/limits.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import type { UpstreamEntry } from '../../../src/upstream/upstream-settings.ts'
import { answerWithin } from '../../../src/upstream/deadline.ts'
import type { Sender } from '../../../src/upstream/transport.ts'
import { FakeSend } from '../../support/fake-send.ts'
import { type Behaviour, FakeUpstream } from '../../support/fake-upstream.ts'
import {
  corrupting,
  cutting,
  failing,
  FakeTokenService,
  Gate,
  holding,
  rateLimiting,
  requiringBasic,
  withHeaders,
} from '../../support/fake-upstream-behaviours.ts'
import {
  entryFor,
  entryOf,
  settingsOf,
  targetOf,
  type TestUpstreams,
  upstreamsOf,
} from '../../support/fake-upstream-settings.ts'
import { imageFixture } from '../../support/image-fixture.ts'

const call = { signal: new AbortController().signal, via: [] }
const latest = parseReference('latest')
const image = imageFixture()
const openMs = limits.upstreamBreakerOpenSeconds * 1000

interface Scene extends AsyncDisposable, TestUpstreams {
  readonly upstream: FakeUpstream
  readonly get: (signal?: AbortSignal) => Promise<unknown>
  /** Asks `times` times in vain. */
  readonly fail: (times: number) => Promise<void>
}

async function startScene(options: Partial<UpstreamEntry> = {}): Promise<Scene> {
  const upstream = await FakeUpstream.start()
  upstream.content.addImage('team/app', image, 'latest')
  const driver = upstreamsOf(settingsOf([entryFor(upstream, options)]))
  const target = targetOf(upstream, 'team/app')
  const get = async (signal = call.signal) =>
    await driver.upstreams.getManifest(target, latest, { ...call, signal })
  const fail = async (times: number) => {
    for (let time = 0; time < times; time++) await assert.rejects(get(), UpstreamError)
  }
  return {
    ...driver,
    upstream,
    get,
    fail,
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

function isSuspended(expected: { status?: number; retryAfterMs?: number } = {}) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof UpstreamError)
    const { status, retryAfterMs } = error
    assert.equal(error.problem, 'suspended')
    assert.deepEqual({ status, retryAfterMs }, { status: undefined, retryAfterMs, ...expected })
    return true
  }
}

describe('the breaker', () => {
  test('opens after failures in a row, and one request tries again', async () => {
    await using scene = await startScene()
    const { upstream, upstreams, timer } = scene
    upstream.use(failing(503), { times: 2 * limits.upstreamBreakerFailuresMax })
    await scene.fail(limits.upstreamBreakerFailuresMax)
    const { length: asked } = upstream.requests
    assert.equal(asked, 2 * limits.upstreamBreakerFailuresMax)
    await assert.rejects(scene.get(), isSuspended({ retryAfterMs: openMs }))
    assert.equal(upstreams.states()[0]?.breaker, 'open')
    assert.match(upstreams.states()[0]?.lastFailure?.message ?? '', /503/)
    timer.advance(openMs)
    assert.equal(upstreams.states()[0]?.breaker, 'half-open')
    assert.equal(upstream.requests.length, asked)
    const gate = new Gate()
    upstream.use(holding(gate), { times: 1 })
    const probe = scene.get()
    await assert.rejects(scene.get(), isSuspended())
    gate.open()
    await probe
    assert.equal(upstream.requests.length, asked + 1)
    assert.equal(upstreams.states()[0]?.breaker, 'closed')
    await scene.get()
  })

  test('stays open when the try fails', async () => {
    await using scene = await startScene()
    scene.upstream.use(cutting())
    await scene.fail(limits.upstreamBreakerFailuresMax)
    scene.timer.advance(openMs)
    await assert.rejects(scene.get(), /connection/)
    await assert.rejects(scene.get(), isSuspended())
  })

  test('lets another one try when the first went away', async () => {
    await using scene = await startScene()
    scene.upstream.use(failing(500), { times: 2 * limits.upstreamBreakerFailuresMax })
    await scene.fail(limits.upstreamBreakerFailuresMax)
    scene.timer.advance(openMs)
    const gate = new Gate()
    const asked = Promise.withResolvers<void>()
    const ask: Behaviour = async (_, next) => {
      asked.resolve()
      return await next()
    }
    scene.upstream.use(holding(gate), { times: 1 }).use(ask)
    const client = new AbortController()
    const probe = scene.get(client.signal)
    await asked.promise
    client.abort(new Error('gone'))
    await assert.rejects(probe, /gone/)
    gate.open()
    await scene.get()
    assert.equal(scene.upstreams.states()[0]?.breaker, 'closed')
  })

  for (const [title, behaviour] of [
    ['answers about content', failing(404)],
    ['content that is wrong', corrupting()],
  ] as const) {
    test(`does not open after ${title}`, async () => {
      await using scene = await startScene()
      const times = 2 * limits.upstreamBreakerFailuresMax
      scene.upstream.use(behaviour, { times })
      await scene.fail(times)
      await scene.get()
    })
  }

  test('counts only failures in a row', async () => {
    await using scene = await startScene()
    for (let round = 0; round < 3; round++) {
      scene.upstream.use(failing(503), { times: 2 * (limits.upstreamBreakerFailuresMax - 1) })
      await scene.fail(limits.upstreamBreakerFailuresMax - 1)
      await scene.get()
    }
  })

  test('is one per entry of a host', async () => {
    await using upstream = await FakeUpstream.start()
    upstream.content.addImage('team/app', image, 'latest').addImage('app', image, 'latest')
    upstream.use(failing(503), { on: /team/ })
    const entries = [entryFor(upstream), entryFor(upstream, { pathPrefix: 'team' })]
    await using driver = upstreamsOf(settingsOf(entries))
    const { upstreams } = driver
    for (let time = 0; time < limits.upstreamBreakerFailuresMax; time++) {
      const get = upstreams.getManifest(targetOf(upstream, 'team/app'), latest, call)
      await assert.rejects(get, /503/)
    }
    await upstreams.getManifest(targetOf(upstream, 'app'), latest, call)
    const states = upstreams.states().map(({ pathPrefix, breaker }) => [pathPrefix, breaker])
    assert.deepEqual(states, [
      ['team', 'open'],
      [undefined, 'closed'],
    ])
  })
})

describe('too many requests', () => {
  test('is obeyed for as long as Retry-After says', async () => {
    await using scene = await startScene()
    scene.upstream.use(rateLimiting('120'), { times: 1 })
    await assert.rejects(scene.get(), { problem: 'status', status: 429, retryAfterMs: 120_000 })
    await assert.rejects(scene.get(), isSuspended({ status: 429, retryAfterMs: 120_000 }))
    scene.timer.advance(119_999)
    await assert.rejects(scene.get(), isSuspended({ status: 429, retryAfterMs: 1 }))
    assert.equal(scene.upstream.requests.length, 1)
    assert.equal(scene.upstreams.states()[0]?.suspendedUntil, scene.timer.now() + 1)
    scene.timer.advance(1)
    await scene.get()
    assert.equal(scene.upstreams.states()[0]?.suspendedUntil, undefined)
  })

  test('is obeyed for an hour at most', async () => {
    await using scene = await startScene()
    scene.upstream.use(rateLimiting('99999999'), { times: 1 })
    await scene.fail(1)
    const retryAfterMs = limits.upstreamSuspensionSecondsMax * 1000
    await assert.rejects(scene.get(), isSuspended({ status: 429, retryAfterMs }))
  })

  test('without Retry-After makes longer and longer pauses, until there is an answer', async () => {
    await using scene = await startScene()
    const pauses: number[] = []
    const failOnce = async () => {
      scene.upstream.use(failing(429), { times: 1 })
      await scene.fail(1)
      const pause = (scene.upstreams.states()[0]?.suspendedUntil ?? 0) - scene.timer.now()
      pauses.push(pause)
      scene.timer.advance(pause)
    }
    for (let round = 0; round < 3; round++) await failOnce()
    await scene.get()
    await failOnce()
    const min = limits.upstreamSuspensionSecondsMin * 1000
    assert.deepEqual(pauses, [min, 2 * min, 4 * min, min])
  })

  test('survives a reload that changes other entries', async () => {
    await using scene = await startScene()
    scene.upstream.use(rateLimiting('120'))
    await scene.fail(1)
    const entry = entryFor(scene.upstream)
    scene.upstreams.reload(settingsOf([entry, entryOf('other.example')]))
    await assert.rejects(scene.get(), isSuspended({ status: 429 }))
    scene.upstreams.reload(settingsOf([{ ...entry, maxConnections: 3 }]))
    await assert.rejects(scene.get(), { problem: 'status' })
  })
})

describe('refused logins', () => {
  const user = { name: 'myuser', password: { reveal: () => 'wrong' } }
  const login = { username: 'myuser', password: 'right' }

  test('make a pause, so that nobody is locked out', async () => {
    await using scene = await startScene({ user })
    scene.upstream.use(requiringBasic(login))
    for (let time = 0; time < limits.upstreamLoginRefusalsMax; time++) {
      await assert.rejects(scene.get(), { problem: 'status', status: 401 })
    }
    const { length: asked } = scene.upstream.requests
    await assert.rejects(scene.get(), isSuspended())
    assert.equal(scene.upstream.requests.length, asked)
    scene.timer.advance(limits.upstreamLoginPauseSeconds * 1000)
    await assert.rejects(scene.get(), { status: 401 })
  })

  test('of a token service do too', async () => {
    await using scene = await startScene({ user })
    const tokens = new FakeTokenService({ login })
    const realm = `${scene.upstream.origin}/token`
    scene.upstream.use(tokens.issue).use(tokens.require(realm))
    await scene.fail(limits.upstreamLoginRefusalsMax)
    await assert.rejects(scene.get(), isSuspended())
  })

  test('are not what a token without rights is', async () => {
    const right = { name: 'myuser', password: { reveal: () => 'right' } }
    await using scene = await startScene({ user: right })
    const tokens = new FakeTokenService({ login })
    const realm = `${scene.upstream.origin}/token`
    scene.upstream.use(tokens.issue)
    scene.upstream.use(new FakeTokenService().require(realm))
    await scene.fail(3 * limits.upstreamLoginRefusalsMax)
    await assert.rejects(scene.get(), { problem: 'status', status: 401 })
  })

  test('are not what is refused to nobody in particular', async () => {
    for (const withTokens of [false, true]) {
      await using scene = await startScene()
      const realm = `${scene.upstream.origin}/token`
      if (withTokens) scene.upstream.use(new FakeTokenService().issue)
      scene.upstream.use(
        withTokens ? new FakeTokenService().require(realm) : failing(401, 'UNAUTHORIZED'),
      )
      for (let time = 0; time < 3 * limits.upstreamLoginRefusalsMax; time++) {
        await assert.rejects(scene.get(), { problem: 'status', status: 401 })
      }
    }
  })
})

test('rate limits that an upstream tells are known', async () => {
  await using scene = await startScene()
  const told = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '93;w=21600' }
  scene.upstream.use(withHeaders(told), { times: 1 })
  await scene.get()
  await scene.get()
  const [state] = scene.upstreams.states()
  assert.deepEqual(state?.rateLimit, { limit: 100, remaining: 93, windowSeconds: 21_600 })
  assert.equal(state?.lastAnswerAt, scene.timer.now())
})

test('no more requests are sent a second than the entry allows', async () => {
  await using scene = await startScene({ requestsPerSecond: 2 })
  for (let time = 0; time < 5; time++) await scene.get()
  assert.deepEqual(scene.timer.waits, [500, 500, 500])
})

test('upstreams that are remembered are bounded, and those with an entry are kept', async () => {
  const fake = new FakeSend({ status: 404 })
  const noConnection: Sender = { send: fake.send, async [Symbol.asyncDispose]() {} }
  const settings = settingsOf([entryOf('listed.example')])
  await using driver = upstreamsOf(settings, { transportFactory: () => noConnection })
  const hosts = Array.from({ length: limits.upstreamClientsMax + 50 }, (_, i) => `h${i}.example`)
  for (const host of ['listed.example', ...hosts]) {
    const get = driver.upstreams.getManifest(targetOf({ host }, 'app'), latest, call)
    await assert.rejects(get, { status: 404 })
  }
  const states = driver.upstreams.states()
  assert.equal(states.length, limits.upstreamClientsMax)
  assert.equal(states[0]?.host, 'listed.example')
})

test('an upstream has so long to begin its answer, and no longer', async () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const work = async (signal: AbortSignal) => {
      const { promise, reject } = Promise.withResolvers<never>()
      signal.addEventListener('abort', () => reject(signal.reason))
      return await promise
    }
    const answer = answerWithin(20, { host: 'a.example', signal: call.signal }, work)
    mock.timers.tick(20_000)
    await assert.rejects(answer, { problem: 'timeout', host: 'a.example' })
    const kept = await answerWithin(
      20,
      { host: 'a.example', signal: call.signal },
      async (signal) => signal,
    )
    mock.timers.tick(60_000)
    assert.equal(kept.aborted, false)
  } finally {
    mock.timers.reset()
  }
})
