// The holes of Trow 0.10's webhook, by their numbers, over a real socket: each request here is one that
// it let pass or failed on. Those of the chart (5), of the listener's certificate (14) and of its
// address (15) are not about what is answered; the policy's own are tested one by one in unit tests.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  acceptAnswer,
  makeReview,
  pod,
  podReview,
  type ReviewAnswer,
  type SentReview,
} from '../support/admission.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const digest = `sha256:${'a'.repeat(64)}`
const byDefault = 'Image is neither explicitly allowed nor denied (using default behavior)'

const config = JSON.stringify({
  hostname: 'trow.example.com',
  image_validation: {
    default: 'Deny',
    allow: ['docker.io', 'r.io/app', 'r.io/repo:1.2', 'trow.example.com/'],
    deny: ['docker.io/library/secret'],
    namespaces: [{ names: 'open', default: 'Allow', deny: ['quay.io/'] }],
  },
})

let registry: Registry

before(async () => {
  registry = await startRegistry({ config })
})
after(() => registry[Symbol.asyncDispose]())

/** Sends it as the API server does. */
async function review(sent: SentReview, body = JSON.stringify(sent)): Promise<ReviewAnswer> {
  const reply = await registry.request('POST', '/validate-image?timeout=10s', {
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body,
  })
  assert.equal(reply.status, 200, reply.body.toString())
  assert.equal(reply.header('content-type'), 'application/json')
  return acceptAnswer(sent, reply.json())
}

async function assertDenied(sent: SentReview, message?: string): Promise<void> {
  const answer = await review(sent)
  assert.ok(!answer.allowed, JSON.stringify(sent.request))
  if (message !== undefined) assert.equal(answer.message, message)
}

async function assertAllowed(sent: SentReview): Promise<void> {
  const { allowed, message } = await review(sent)
  assert.ok(allowed, message)
}

test("the user guide's message is told word for word", async () => {
  await assertDenied(podReview(['my_registry.io/nginx']), `my_registry.io/nginx: ${byDefault}`)
  await assertDenied(podReview(['secret']), 'secret: Image explicitly denied')
})

test('hole 1: a rule for a registry or a repository is for no other that begins the same', async () => {
  await assertAllowed(podReview(['nginx', 'r.io/app:1', 'r.io/repo:1.2']))
  for (const image of ['docker.io.evil.com/x', 'r.io/app-evil', 'r.io/repo:1.25']) {
    await assertDenied(podReview([image]))
  }
})

test('hole 2: an update is judged, by the images that it introduces', async () => {
  const oldObject = pod(['nginx', 'evil.io/old'])
  const update = (images: string[]) =>
    podReview(images, { operation: 'UPDATE', object: pod(images), oldObject })
  await assertDenied(update(['evil.io/new', 'evil.io/old']), `evil.io/new: ${byDefault}`)
  await assertAllowed(update(['nginx:2', 'evil.io/old']))
})

test('hole 3: the containers of kubectl debug are judged', async () => {
  const object = pod(['nginx'], { ephemeralContainers: [{ name: 'debug', image: 'evil.io/sh' }] })
  const options = { operation: 'UPDATE', subResource: 'ephemeralcontainers', object }
  await assertDenied(makeReview({ ...options, oldObject: pod(['nginx']) }))
})

test('hole 4: image volumes are judged', async () => {
  const volumes = [{ name: 'data', image: { reference: 'evil.io/data', pullPolicy: 'Always' } }]
  await assertDenied(makeReview({ object: pod(['nginx'], { volumes }) }))
})

describe('hole 6: padding is no way by', () => {
  const padded = (bytes: number, image: string): SentReview =>
    makeReview({ object: pod([image], {}, { annotations: { padding: 'x'.repeat(bytes) } }) })
  test('a review of three megabytes is judged', async () => {
    await assertDenied(padded(3e6, 'evil.io/a'), `evil.io/a: ${byDefault}`)
    await assertAllowed(padded(3e6, 'nginx'))
  })
  test('one that is too large is denied, with its uid', async () => {
    const { allowed, message, code } = await review(padded(9e6, 'nginx'))
    assert.deepEqual([allowed, code], [false, 413])
    assert.match(message, /^Invalid admission request: it has more than 8388608 bytes$/)
  })
  test('one that is no JSON to its end is denied, with its uid', async () => {
    const sent = podReview(['nginx'])
    const { allowed } = await review(sent, JSON.stringify(sent).slice(0, -2))
    assert.ok(!allowed)
  })
})

test('hole 7: no spelling of a registry dodges a rule that denies it', async () => {
  const options = { namespace: 'open' }
  await assertAllowed(podReview(['ghcr.io/a'], options))
  for (const image of ['quay.io/a', 'Quay.io/a', 'quay.io:443/a']) {
    await assertDenied(podReview([image], options))
  }
  for (const image of ['registry-1.docker.io/library/secret', 'index.docker.io/secret:1']) {
    await assertDenied(podReview([image], options), `${image}: Image explicitly denied`)
  }
})

test('hole 8: an image of another registry is judged as that under every path', async () => {
  await assertAllowed(podReview(['trow.example.com/app', 'trow.example.com/f/docker.io/nginx']))
  await assertDenied(podReview(['trow.example.com/f/evil.io/x']))
  await assertDenied(podReview(['trow.example.com/f/docker.io/secret']))
})

test('hole 9: a rule for a tag says nothing of a digest', async () => {
  await assertDenied(podReview([`r.io/repo:1.2@${digest}`]))
  await assertAllowed(podReview([`r.io/app:1@${digest}`]))
})

test('hole 10: an object that is no pod is not taken for one without containers', async () => {
  const object = { spec: { template: { spec: { containers: [{ image: 'evil.io/a' }] } } } }
  const { allowed, warnings } = await review(
    makeReview({ group: 'apps', kind: 'Deployment', object }),
  )
  assert.ok(allowed)
  assert.deepEqual(warnings, [`evil.io/a: ${byDefault} (spec.template.spec.containers[0].image)`])
  await assertDenied(makeReview({ group: 'example.com', kind: 'Engine', object }))
})

test('hole 11: a container without an image is denied', async () => {
  await assertDenied(makeReview({ object: { spec: { containers: [{ name: 'a' }] } } }))
})

test('hole 12: all failures are told, with their places', async () => {
  const { causes } = await review(podReview(['evil.io/a', 'nginx', 'evil.io/b']))
  assert.deepEqual(
    causes.map(({ field }) => field),
    ['spec.containers[0].image', 'spec.containers[2].image'],
  )
})

test('hole 13: both versions are answered in their own, with the exact uid', async () => {
  for (const apiVersion of ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1']) {
    await assertAllowed(podReview(['nginx'], { apiVersion, uid: 'Some-UID_of.1' }))
    await assertDenied(podReview(['evil.io/a'], { apiVersion, uid: 'Some-UID_of.1' }))
  }
})
