import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { applyPatch } from 'rfc6902'
import * as fc from 'fast-check'
import { Mutation } from '../../../src/admission/mutation.ts'
import type { MutationSettings } from '../../../src/admission/mutation-settings.ts'
import type { Digest } from '../../../src/oci/digest.ts'
import type { RegistryHost } from '../../../src/oci/image-reference.ts'

const digest = `sha256:${'a'.repeat(64)}` as Digest
const hosts = ['docker.io', 'ghcr.io', 'r.example.com:5000'] as RegistryHost[]
const settings: MutationSettings = {
  registry: 'trow.example.com',
  upstreams: hosts,
  ignored: ['docker.io/library/busybox'],
  pinDigests: false,
}

interface Pod {
  readonly metadata?: object
  readonly spec: Readonly<Record<string, unknown>>
}

interface Asked {
  readonly settings?: MutationSettings
  readonly operation?: string
  readonly oldObject?: Pod
  readonly namespace?: string
  readonly kind?: string
  readonly resolved?: Digest
}

/** The pod as it is behind the webhook, and the warnings. */
async function mutate(pod: Pod, asked: Asked = {}) {
  const mutation = new Mutation(
    asked.settings ?? settings,
    { imagesMax: 1000, groupsMax: 10 },
    'trow',
  )
  const request = {
    uid: 'u',
    operation: asked.operation ?? 'CREATE',
    kind: { group: '', version: 'v1', kind: asked.kind ?? 'Pod' },
    namespace: asked.namespace ?? 'default',
    object: pod,
    ...(asked.oldObject && { oldObject: asked.oldObject }),
  }
  const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }
  const { answer } = await mutation.answer(Buffer.from(JSON.stringify(review)), () =>
    Promise.resolve(asked.resolved),
  )
  const { response } = answer as {
    response: { uid: string; allowed: boolean; patch?: string; warnings?: string[] }
  }
  assert.equal(response.uid, 'u')
  assert.equal(response.allowed, true)
  const changed = structuredClone(pod)
  const patch = JSON.parse(Buffer.from(response.patch ?? 'W10=', 'base64').toString()) as []
  assert.deepEqual(
    applyPatch(changed, patch).filter((result) => result !== null),
    [],
  )
  return { pod: changed, warnings: response.warnings ?? [] }
}

const container = (image: string) => ({ name: 'c', image, env: [{ name: 'A', value: image }] })
const podOf = (...images: string[]): Pod => ({ spec: { containers: images.map(container) } })

const rewritten: readonly [string, string][] = [
  ['nginx', 'trow.example.com/f/docker.io/library/nginx:latest'],
  ['index.docker.io/team/app:1', 'trow.example.com/f/docker.io/team/app:1'],
  [`ghcr.io/a/b:1@${digest}`, `trow.example.com/f/ghcr.io/a/b:1@${digest}`],
  [`ghcr.io/a/b@${digest}`, `trow.example.com/f/ghcr.io/a/b@${digest}`],
  ['r.example.com:5000/x:2', 'trow.example.com/f/r.example.com_5000/x:2'],
  ['busybox:1', 'busybox:1'],
  ['quay.io/app:1', 'quay.io/app:1'],
  ['trow.example.com/own:1', 'trow.example.com/own:1'],
  ['trow.example.com/f/docker.io/library/nginx:1', 'trow.example.com/f/docker.io/library/nginx:1'],
  ['Not An Image', 'Not An Image'],
]

describe('an image', () => {
  for (const [image, expected] of rewritten) {
    test(`${image} becomes ${expected}`, async () => {
      const { pod } = await mutate(podOf('quay.io/first', image))
      const [first, second] = [container('quay.io/first'), { ...container(image), image: expected }]
      assert.deepEqual(pod.spec['containers'], [first, second])
    })
  }
})

test('every place of a pod that names an image is changed, and nothing else', async () => {
  const pod = (image: (text: string) => string): Pod => ({
    spec: {
      initContainers: [{ name: 'i', image: image('nginx:1') }],
      containers: [{ name: 'c', image: image('nginx:2') }],
      ephemeralContainers: [{ name: 'e', image: image('nginx:3') }],
      volumes: [
        { name: 'v', emptyDir: {} },
        { name: 'w', image: { reference: image('nginx:4'), pullPolicy: 'Always' } },
      ],
    },
  })
  const changed = await mutate(pod((text) => text))
  assert.deepEqual(
    changed.pod,
    pod((text) => `trow.example.com/f/docker.io/library/${text}`),
  )
})

test('what was changed once is not changed again', async () => {
  const image = fc
    .tuple(
      fc.constantFrom(...hosts, 'quay.io', 'trow.example.com'),
      fc.stringMatching(/^[a-z]{1,8}$/),
    )
    .map(([host, name]) => `${host}/${name}:1`)
  const property = fc.asyncProperty(fc.array(image, { maxLength: 5 }), async (images) => {
    const pins = { settings: { ...settings, pinDigests: true }, resolved: digest }
    const once = await mutate(podOf(...images), pins)
    assert.deepEqual(await mutate(once.pod, pins), { pod: once.pod, warnings: [] })
  })
  await fc.assert(property)
})

test('an update changes only the images that it brings', async () => {
  const oldObject = podOf('nginx:1')
  const options = { operation: 'UPDATE', oldObject }
  assert.deepEqual((await mutate(podOf('nginx:1'), options)).pod, podOf('nginx:1'))
  const { pod } = await mutate(podOf('nginx:2'), options)
  const [first] = pod.spec['containers'] as { image: string }[]
  assert.equal(first?.image, 'trow.example.com/f/docker.io/library/nginx:2')
})

test("the registry's own pods, its namespace, and what makes pods stay as they are", async () => {
  const own = { ...podOf('nginx'), metadata: { labels: { 'app.kubernetes.io/name': 'trow' } } }
  assert.deepEqual((await mutate(own)).pod, own)
  assert.deepEqual((await mutate(podOf('nginx'), { namespace: 'trow' })).pod, podOf('nginx'))
  assert.deepEqual((await mutate(podOf('nginx'), { kind: 'Deployment' })).pod, podOf('nginx'))
  assert.deepEqual((await mutate(podOf('nginx'), { operation: 'DELETE' })).pod, podOf('nginx'))
})

test('tags are pinned to what they are now, digests stay, and what is not known is warned of', async () => {
  const pinning = { ...settings, pinDigests: true }
  const images = ['nginx:1', 'trow.example.com/own:1', `ghcr.io/a@sha256:${'b'.repeat(64)}`]
  const known = await mutate(podOf(...images), { settings: pinning, resolved: digest })
  assert.deepEqual(
    (known.pod.spec['containers'] as { image: string }[]).map(({ image }) => image),
    [
      `trow.example.com/f/docker.io/library/nginx:1@${digest}`,
      `trow.example.com/own:1@${digest}`,
      `trow.example.com/f/ghcr.io/a@sha256:${'b'.repeat(64)}`,
    ],
  )
  const unknown = await mutate(podOf('nginx:1'), { settings: pinning })
  const [first] = unknown.pod.spec['containers'] as { image: string }[]
  assert.equal(first?.image, 'trow.example.com/f/docker.io/library/nginx:1')
  assert.deepEqual(unknown.warnings, [
    'spec.containers[0].image: docker.io/library/nginx:1 was not pinned: its digest is not known now',
  ])
})

test('a review that cannot be read is let pass, unchanged and with a warning', async () => {
  const mutation = new Mutation(settings, { imagesMax: 10, groupsMax: 10 })
  const { answer, outcome } = await mutation.answer(Buffer.from('{'), () =>
    Promise.resolve(undefined),
  )
  assert.equal(outcome, 'unreadable')
  const { response } = answer as { response: { allowed: boolean; warnings: string[] } }
  assert.equal(response.allowed, true)
  assert.match(response.warnings[0] ?? '', /images not changed: it is no AdmissionReview/)
})
