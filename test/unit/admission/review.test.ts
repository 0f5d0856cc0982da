// What becomes of a review, from the bytes that arrive to the answer, which the API server's own checks
// have to accept. The holes of Trow 0.10 are named by their numbers.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Admission } from '../../../src/admission/admission.ts'
import {
  acceptAnswer,
  makeReview,
  pod,
  type PolicyChoice,
  podReview,
  type ReviewAnswer,
  type ReviewOptions,
  type SentReview,
} from '../../support/admission.ts'
import { makePolicy } from './judge.ts'

const bounds = { imagesMax: 20, groupsMax: 10 }
const byDefault = 'Image is neither explicitly allowed nor denied (using default behavior)'

function answer(choice: PolicyChoice | undefined, review: SentReview): ReviewAnswer {
  const admission = new Admission(choice && makePolicy(choice), bounds)
  const { answer } = admission.answer(Buffer.from(JSON.stringify(review)))
  return acceptAnswer(review, JSON.parse(JSON.stringify(answer)))
}

const good = { allow: ['good.io'] }

describe('a review of a pod', () => {
  test('is allowed when all of its images are', () => {
    const { allowed, message, warnings, auditAnnotations } = answer(good, podReview(['good.io/a']))
    assert.ok(allowed)
    assert.deepEqual([message, warnings], ['', []])
    assert.deepEqual(auditAnnotations, { decision: 'allowed' })
  })
  test('is denied in the words that people know', () => {
    const { allowed, message, code, reason } = answer(good, podReview(['my_registry.io/nginx']))
    assert.ok(!allowed)
    assert.equal(message, `my_registry.io/nginx: ${byDefault}`)
    assert.deepEqual([code, reason], [403, 'Forbidden'])
  })
  test('is denied without a policy, as it always was', () => {
    const { allowed, message } = answer(undefined, podReview(['good.io/a']))
    assert.deepEqual([allowed, message], [false, 'Image validation not configured'])
  })
  test('is denied without a pod', () => {
    const { allowed, message } = answer(good, makeReview({ object: null }))
    assert.deepEqual([allowed, message], [false, 'No pod in pod admission request'])
  })
  for (const operation of ['DELETE', 'CONNECT']) {
    test(`is allowed when it is about ${operation}`, () => {
      assert.ok(answer(good, podReview(['evil.io/a'], { operation })).allowed)
      assert.ok(answer(undefined, makeReview({ operation, kind: 'PodExecOptions' })).allowed)
    })
  }
})

describe('hole 2, updates: only what an update introduces is judged', () => {
  const update = (images: string[], before: string[], metadata = {}): ReviewAnswer =>
    answer(
      good,
      podReview(images, {
        operation: 'UPDATE',
        object: pod(images),
        oldObject: pod(before, {}, metadata),
      }),
    )
  test('a new image is', () => {
    assert.ok(!update(['evil.io/a'], ['good.io/a']).allowed)
    assert.ok(!update(['good.io/a', 'evil.io/a'], ['good.io/a', 'evil.io/b']).allowed)
  })
  test('one that the pod has already is not', () => {
    assert.ok(update(['evil.io/a'], ['evil.io/a']).allowed)
    assert.ok(update(['evil.io/a', 'good.io/b'], ['evil.io/a', 'good.io/a']).allowed)
  })
  test('nothing is of a pod that is being deleted, whose finalizers have to go', () => {
    const deletionTimestamp = '2026-01-01T00:00:00Z'
    assert.ok(update(['evil.io/a'], ['good.io/a'], { deletionTimestamp }).allowed)
  })
  test('a pod that says of itself that it is being deleted is judged', () => {
    const object = pod(['evil.io/a'], {}, { deletionTimestamp: '2026-01-01T00:00:00Z' })
    assert.ok(!answer(good, makeReview({ object })).allowed)
    const oldObject = pod(['good.io/a'])
    assert.ok(!answer(good, makeReview({ object, oldObject, operation: 'UPDATE' })).allowed)
  })
  test('a pod that is created has nothing already', () => {
    const review = podReview(['evil.io/a'], { oldObject: pod(['evil.io/a']) })
    assert.ok(!answer(good, review).allowed)
  })
  test('all is where the object before is missing', () => {
    const review = podReview(['evil.io/a'], { operation: 'UPDATE' })
    assert.ok(!answer(good, review).allowed)
  })
})

describe('holes 3 and 4: every place that names an image is judged', () => {
  const cases: [what: string, spec: object, field: string][] = [
    [
      'init containers',
      { initContainers: [{ image: 'evil.io/a' }] },
      'spec.initContainers[0].image',
    ],
    [
      'ephemeral containers',
      { ephemeralContainers: [{ image: 'good.io/a' }, { image: 'evil.io/a' }] },
      'spec.ephemeralContainers[1].image',
    ],
    [
      'image volumes',
      { volumes: [{ emptyDir: {} }, { image: { reference: 'evil.io/a' } }] },
      'spec.volumes[1].image.reference',
    ],
  ]
  for (const [what, spec, field] of cases) {
    test(what, () => {
      const { allowed, causes } = answer(good, makeReview({ object: pod(['good.io/a'], spec) }))
      assert.ok(!allowed)
      assert.deepEqual(causes, [
        { reason: 'FieldValueForbidden', message: `evil.io/a: ${byDefault}`, field },
      ])
    })
  }
  test('kubectl debug, which updates pods/ephemeralcontainers', () => {
    const object = pod(['good.io/a'], { ephemeralContainers: [{ image: 'evil.io/shell' }] })
    const options: ReviewOptions = {
      operation: 'UPDATE',
      subResource: 'ephemeralcontainers',
      object,
      oldObject: pod(['good.io/a']),
    }
    const { allowed, message } = answer(good, makeReview(options))
    assert.deepEqual([allowed, message], [false, `evil.io/shell: ${byDefault}`])
    assert.ok(answer(good, makeReview({ ...options, oldObject: object })).allowed)
  })
})

describe('hole 6: what cannot be read is denied, with the uid if that can be', () => {
  const admission = new Admission(makePolicy(good), bounds)
  const uid = 'b9c6b0f5-0000-4000-8000-000000000000'
  const whole = JSON.stringify(podReview(['good.io/a'], { uid }))
  const cases: [what: string, body: string | Buffer, uid: string, message: RegExp][] = [
    ['no JSON', 'hello', '', /no JSON/],
    ['nothing', '', '', /no JSON/],
    ['half of it', whole.slice(0, -20), uid, /no JSON/],
    ['a list', '[]', '', /no AdmissionReview/],
    ['null', 'null', '', /no AdmissionReview/],
    ['a pod', JSON.stringify(pod(['good.io/a'])), '', /no AdmissionReview/],
    ['no request', whole.replace('"request"', '"response"'), '', /no request/],
    ['no uid', whole.replace(uid, ''), '', /no uid/],
    ['another version', whole.replace('io/v1"', 'io/v2"'), uid, /apiVersion is none of/],
    ['a uid that is no text', whole.replace(`"${uid}"`, '{"a":1}'), '', /no uid/],
    ['a deep one', `${whole.slice(0, -1)},"x":${'['.repeat(100_000)}`, uid, /no JSON/],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00]), '', /no JSON/],
  ]
  for (const [what, body, expected, message] of cases) {
    test(what, () => {
      const { answer } = admission.answer(Buffer.from(body))
      const { uid, allowed, status } = (
        answer as {
          response: { uid: string; allowed: boolean; status: { code: number; message: string } }
        }
      ).response
      assert.deepEqual([uid, allowed, status.code], [expected, false, 400])
      assert.match(status.message, /^Invalid admission request: /)
      assert.match(status.message, message)
    })
  }
})

describe('hole 10: objects that are no pods', () => {
  const spec = { template: { spec: { containers: [{ image: 'evil.io/a' }] } } }
  const path = 'spec.template.spec'
  const kinds: [group: string, kind: string, object: object, path: string][] = [
    ['apps', 'Deployment', { spec }, path],
    ['apps', 'ReplicaSet', { spec }, path],
    ['apps', 'DaemonSet', { spec }, path],
    ['apps', 'StatefulSet', { spec }, path],
    ['', 'ReplicationController', { spec }, path],
    ['batch', 'Job', { spec }, path],
    [
      'batch',
      'CronJob',
      { spec: { jobTemplate: { spec } } },
      'spec.jobTemplate.spec.template.spec',
    ],
    ['', 'PodTemplate', spec, 'template.spec'],
  ]
  for (const [group, kind, object, path] of kinds) {
    const review = makeReview({ group, kind, object })
    test(`${kind}: the user is warned`, () => {
      const { allowed, warnings } = answer(good, review)
      assert.ok(allowed)
      assert.deepEqual(warnings, [`evil.io/a: ${byDefault} (${path}.containers[0].image)`])
    })
    test(`${kind}: denied where that is asked for, not judged where it is off`, () => {
      const denied = answer({ ...good, validateWorkloads: 'deny' }, review)
      assert.deepEqual(
        [denied.allowed, denied.causes[0]?.field],
        [false, `${path}.containers[0].image`],
      )
      const { allowed, warnings } = answer({ ...good, validateWorkloads: 'off' }, review)
      assert.deepEqual([allowed, warnings], [true, []])
    })
  }
  test('what has no pods yet has nothing to judge', () => {
    const review = makeReview({ kind: 'ReplicationController', object: { spec: { replicas: 0 } } })
    assert.ok(answer({ ...good, validateWorkloads: 'deny' }, review).allowed)
  })
  test('a kind that is not known is denied', () => {
    for (const [group, kind] of [
      ['', 'Service'],
      ['example.com', 'Pod'],
      ['', 'constructor'],
      ['', '__proto__'],
    ] as const) {
      const { allowed, message } = answer(good, makeReview({ group, kind, object: pod([]) }))
      assert.ok(!allowed)
      assert.match(message, /^unsupported kind: "/)
    }
  })
})

describe('hole 11: an image that is missing', () => {
  for (const container of [
    {},
    { image: '' },
    { image: '  ' },
    { image: null },
    { image: 5 },
    'x',
    null,
  ]) {
    test(`is denied in a pod: ${JSON.stringify(container)}`, () => {
      const { allowed, message, causes } = answer(
        good,
        makeReview({ object: { spec: { containers: [container] } } }),
      )
      assert.deepEqual([allowed, message], [false, 'spec.containers[0].image: Image is missing'])
      assert.equal(causes[0]?.reason, 'FieldValueRequired')
    })
  }
  test('is warned of in a template, which others may complete', () => {
    const object = { spec: { template: { spec: { containers: [{ name: 'a' }] } } } }
    const review = makeReview({ group: 'apps', kind: 'Deployment', object })
    const { allowed, warnings } = answer({ ...good, validateWorkloads: 'deny' }, review)
    assert.deepEqual(
      [allowed, warnings],
      [true, ['spec.template.spec.containers[0].image: Image is missing']],
    )
  })
})

describe('hole 12: all failures are told', () => {
  const review = makeReview({
    object: pod(['evil.io/a', 'good.io/b', 'evil.io/a'], { initContainers: [{ image: 'A B' }] }),
  })
  test('in the message, with the places', () => {
    assert.equal(
      answer(good, review).message,
      'A B: Invalid image reference (spec.initContainers[0].image); ' +
        `evil.io/a: ${byDefault} (spec.containers[0].image); ` +
        `evil.io/a: ${byDefault} (spec.containers[2].image)`,
    )
  })
  test('and in the causes', () => {
    assert.deepEqual(
      answer(good, review).causes.map(({ field }) => field),
      ['spec.initContainers[0].image', 'spec.containers[0].image', 'spec.containers[2].image'],
    )
  })
})

describe('hole 13: versions', () => {
  for (const version of ['v1', 'v1beta1']) {
    test(`${version} is answered in ${version}`, () => {
      const apiVersion = `admission.k8s.io/${version}`
      assert.ok(answer(good, podReview(['good.io/a'], { apiVersion })).allowed)
      assert.ok(!answer(good, podReview(['evil.io/a'], { apiVersion })).allowed)
    })
  }
})

describe('modes', () => {
  const review = podReview(['evil.io/a', 'good.io/a'])
  test('warn lets pass, and warns the user', () => {
    const { allowed, warnings, auditAnnotations } = answer({ ...good, mode: 'warn' }, review)
    assert.ok(allowed)
    assert.deepEqual(warnings, [`evil.io/a: ${byDefault} (spec.containers[0].image)`])
    assert.equal(auditAnnotations['decision'], 'warned')
  })
  test('audit lets pass, and tells the audit log alone', () => {
    const { allowed, warnings, auditAnnotations } = answer({ ...good, mode: 'audit' }, review)
    assert.deepEqual([allowed, warnings], [true, []])
    assert.equal(auditAnnotations['decision'], 'audited')
    assert.equal(auditAnnotations['reason'], `evil.io/a: ${byDefault}`)
  })
  test('neither lets pass what cannot be judged', () => {
    for (const mode of ['warn', 'audit'] as const) {
      assert.ok(!answer({ ...good, mode }, makeReview({ kind: 'Service' })).allowed)
      assert.ok(!answer({ ...good, mode }, makeReview({ object: null })).allowed)
    }
  })
  test('a namespace may have its own', () => {
    const choice = { ...good, namespaces: [{ names: ['sandbox-*'], mode: 'warn' as const }] }
    assert.ok(answer(choice, podReview(['evil.io/a'], { namespace: 'sandbox-1' })).allowed)
    assert.ok(!answer(choice, podReview(['evil.io/a'], { namespace: 'shop' })).allowed)
  })
})

test('who is exempt is not judged, and the audit log has by which rule', () => {
  const choice = { exempt: { users: ['system:node:*'] } }
  const { allowed, auditAnnotations } = answer(choice, podReview(['a'], { user: 'system:node:n' }))
  assert.ok(allowed)
  assert.deepEqual(auditAnnotations, {
    decision: 'exempt',
    reason: 'image_validation.exempt.users[0]',
  })
})

describe('a review that was made to do harm', () => {
  test('has no more images than a pod can have', () => {
    const { allowed, message } = answer(
      good,
      podReview(Array.from({ length: 21 }, () => 'good.io/a')),
    )
    assert.deepEqual([allowed, message], [false, 'spec.containers has more than 20 entries'])
  })
  test('has lists where lists belong', () => {
    const { allowed, message } = answer(
      good,
      makeReview({ object: { spec: { containers: { 0: 1 } } } }),
    )
    assert.deepEqual([allowed, message], [false, 'spec.containers is not a list'])
  })
  test('cannot hide an image behind a prototype', () => {
    const text = JSON.stringify(podReview(['evil.io/a'])).replace('"spec"', '"__proto__"')
    const { answer } = new Admission(makePolicy(good), bounds).answer(Buffer.from(text))
    assert.equal((answer as { response: { allowed: boolean } }).response.allowed, false)
  })
  test('cannot make the answer long, or break its lines', () => {
    const long = `evil.io/${'a'.repeat(5_000)}\u001b[31m\n`
    const { message, causes, auditAnnotations } = answer(
      good,
      podReview(Array.from({ length: 20 }, () => long)),
    )
    assert.ok(message.length < 20 * 500)
    assert.doesNotMatch(message, /\p{Cc}/u)
    assert.ok(causes.every(({ message }) => message.length < 1_000))
    assert.ok((auditAnnotations['reason']?.length ?? 0) <= 1_000)
  })
  test('cannot make warnings longer than the API server takes', () => {
    for (const text of ['a', '💥']) {
      const images = Array.from({ length: 20 }, () => `evil.io/${text.repeat(300)}`)
      const { warnings } = answer({ ...good, mode: 'warn' }, podReview(images))
      assert.ok(warnings.length > 5)
    }
  })
})
