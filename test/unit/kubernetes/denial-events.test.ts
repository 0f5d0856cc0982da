import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Denial } from '../../../src/admission/denial.ts'
import { DenialEvents } from '../../../src/kubernetes/denial-events.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const settings = { repeatSeconds: 300, rememberedMax: 100, perMinuteMax: 3, atOnceMax: 10 }

function denialOf(name: string, message = 'nginx: Image explicitly denied'): Denial {
  return { namespace: 'shop', about: { apiVersion: 'apps/v1', kind: 'ReplicaSet', name }, message }
}

function start(create: () => Promise<unknown> = () => Promise.resolve()) {
  const clock = new FakeClock()
  const made: { path: string; body: Record<string, unknown> }[] = []
  const warnings: string[] = []
  const events = new DenialEvents(
    {
      clock,
      log: { warn: (_, message) => void warnings.push(message) },
      api: {
        create: (path, body) => {
          made.push({ path, body: body as Record<string, unknown> })
          return create()
        },
      },
    },
    settings,
  )
  return { clock, made, warnings, events }
}

test('a refusal is told once in a while, about whoever made the pod', () => {
  const { clock, made, events } = start()
  events.tell(denialOf('web'))
  events.tell(denialOf('web'))
  assert.equal(made.length, 1)
  assert.equal(made[0]?.path, '/api/v1/namespaces/shop/events')
  assert.equal(made[0]?.body['reason'], 'ImageDenied')
  assert.deepEqual(made[0]?.body['involvedObject'], { ...denialOf('web').about, namespace: 'shop' })
  clock.advance(301_000)
  events.tell(denialOf('web'))
  assert.equal(made.length, 2)
})

test('a storm makes a bounded number of them, and says how many it dropped', async () => {
  const { clock, made, events } = start()
  for (let index = 0; index < 10; index += 1) events.tell(denialOf(`web-${index}`))
  assert.equal(made.length, 3)
  assert.equal(events.counts.dropped, 7)
  clock.advance(60_000)
  events.tell(denialOf('web-9'))
  assert.equal(made.length, 4)
})

test('an API that does not answer holds no more than a few', () => {
  const { events } = start(() => new Promise(() => {}))
  for (let index = 0; index < 20; index += 1) events.tell(denialOf(`web-${index}`))
  assert.equal(events.counts.dropped, 17)
})

test('a failure is counted and logged, and fails nothing', async () => {
  const { events, warnings } = start(() => Promise.reject(new Error('forbidden')))
  events.tell(denialOf('web', 'ü'.repeat(2000)))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(events.counts.failed, 1)
  assert.match(warnings[0] ?? '', /may the service account create events\?/)
})
