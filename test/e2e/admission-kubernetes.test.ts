// The webhook as a real Kubernetes API server calls it, by URL and by Service: what users of a cluster are
// told, and what does not get in. Nothing runs the pods; the API server takes or refuses them.

import assert from 'node:assert/strict'
import { after, before, describe, test, type TestContext } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import {
  claimNodeAddress,
  type Kubernetes,
  nodeAddress,
  startKubernetes,
} from '../support/kubernetes.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { requireTool } from '../support/tools.ts'
import { until } from '../support/until.ts'

const digest = `sha256:${'a'.repeat(64)}`
const pods = '/api/v1/namespaces/default/pods'
const webhooks = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations'
const byDefault = 'Image is neither explicitly allowed nor denied (using default behavior)'
const denied = 'admission webhook "validator.trow.io" denied the request'

const policy = JSON.stringify({
  image_validation: {
    default: 'Deny',
    allow: ['registry.k8s.io/', 'quay.io/team'],
    deny: ['quay.io/team/secret'],
    namespaces: [{ names: 'careful', mode: 'warn' }],
  },
})

const tls = issueCertificate(['127.0.0.1', 'trow.default.svc'])

function podOf(name: string, images: readonly string[], more: object = {}): object {
  const containers = images.map((image, index) => ({ name: `c${index}`, image }))
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { containers, ...more } }
}

function rule(resources: readonly string[], group = ''): object {
  return {
    apiGroups: [group],
    apiVersions: ['v1'],
    operations: ['CREATE', 'UPDATE'],
    resources,
    scope: 'Namespaced',
  }
}

function webhookOf(clientConfig: object, failurePolicy = 'Fail'): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'trow' },
    webhooks: [
      {
        name: 'validator.trow.io',
        admissionReviewVersions: ['v1', 'v1beta1'],
        sideEffects: 'None',
        timeoutSeconds: 5,
        failurePolicy,
        rules: [rule(['pods', 'pods/ephemeralcontainers']), rule(['deployments'], 'apps')],
        clientConfig: { caBundle: Buffer.from(tls.ca).toString('base64'), ...clientConfig },
      },
    ],
  }
}

describe('the webhook, called by a Kubernetes API server', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let kubernetes: Kubernetes | undefined
  let registry: Registry

  before(async () => {
    directory = await temporaryDirectory()
    registry = await startRegistry({ tls, config: policy, flags: ['--bind', '0.0.0.0:0'] })
  })

  after(async () => {
    await kubernetes?.[Symbol.asyncDispose]()
    await registry[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })

  function port(): string {
    return new URL(registry.url).port
  }

  async function started(t: TestContext): Promise<Kubernetes | undefined> {
    if (!requireTool(t, 'kube-apiserver') || !requireTool(t, 'etcd')) return undefined
    kubernetes ??= await startKubernetes({ directory: directory.path })
    await kubernetes.request('DELETE', `${webhooks}/trow`)
    const cluster = kubernetes
    await until('no webhook is asked any more', async () => (await probe(cluster)) === 201)
    return cluster
  }

  /** What becomes of a pod that no policy here allows. */
  async function probe(cluster: Kubernetes): Promise<number> {
    const body = podOf('probe', ['docker.io/library/probe'])
    return (await cluster.request('POST', `${pods}?dryRun=All`, { body })).status
  }

  /** It takes effect a moment after it was accepted. */
  async function hook(cluster: Kubernetes, configuration: object): Promise<void> {
    await cluster.create(webhooks, configuration)
    await until('the webhook is asked', async () => (await probe(cluster)) !== 201)
  }

  function messageOf(reply: { json(): unknown }): string {
    return (reply.json() as { message: string }).message
  }

  test('by URL: pods are taken and refused, with the words of the guide and each field', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    await hook(cluster, webhookOf({ url: `https://127.0.0.1:${port()}/validate-image` }))
    await cluster.create(pods, podOf('good', ['registry.k8s.io/pause:3.10', 'quay.io/team/app:1']))
    const one = await cluster.request('POST', pods, { body: podOf('one', ['nginx']) })
    assert.equal(one.status, 403)
    assert.equal(messageOf(one), `${denied}: nginx: ${byDefault}`)

    const volumes = [{ name: 'v', image: { reference: 'evil.io/data' } }]
    const initContainers = [{ name: 'i', image: 'quay.io/team/secret:1' }]
    const body = podOf('many', ['evil.io/x'], { volumes, initContainers })
    const many = await cluster.request('POST', pods, { body })
    assert.equal(many.status, 403)
    const { causes } = (many.json() as { details: { causes: { field: string }[] } }).details
    assert.deepEqual(causes.map(({ field }) => field).toSorted(), [
      'spec.containers[0].image',
      'spec.initContainers[0].image',
      'spec.volumes[0].image.reference',
    ])
    const dry = await cluster.request('POST', `${pods}?dryRun=All`, {
      body: podOf('dry', ['nginx']),
    })
    assert.equal(dry.status, 403)
  })

  test('an update and a debugging container are judged by what they bring', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    await cluster.create(pods, podOf('old', ['evil.io/before-the-webhook']))
    await hook(cluster, webhookOf({ url: `https://127.0.0.1:${port()}/validate-image` }))
    const contentType = 'application/strategic-merge-patch+json'
    const label = { metadata: { labels: { a: 'b' } } }
    const labelled = await cluster.request('PATCH', `${pods}/old`, { body: label, contentType })
    assert.equal(labelled.status, 200, labelled.body.toString())
    const changed = { spec: { containers: [{ name: 'c0', image: 'nginx' }] } }
    const refused = await cluster.request('PATCH', `${pods}/old`, { body: changed, contentType })
    assert.equal(refused.status, 403, refused.body.toString())
    const debug = (image: string) => ({ spec: { ephemeralContainers: [{ name: 'debug', image }] } })
    const path = `${pods}/old/ephemeralcontainers`
    const evil = await cluster.request('PATCH', path, { body: debug('evil.io/sh'), contentType })
    assert.equal(evil.status, 403, evil.body.toString())
    const good = { body: debug('quay.io/team/sh'), contentType }
    assert.equal((await cluster.request('PATCH', path, good)).status, 200)
  })

  test('a workload is warned of, a careful namespace too, and the audit log has it', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    await hook(cluster, webhookOf({ url: `https://127.0.0.1:${port()}/validate-image` }))
    const { spec } = podOf('x', ['nginx']) as { spec: object }
    const metadata = { name: 'web', labels: { app: 'web' } }
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: { selector: { matchLabels: { app: 'web' } }, template: { metadata, spec } },
    }
    const path = '/apis/apps/v1/namespaces/default/deployments'
    const made = await cluster.request('POST', path, { body: deployment })
    assert.equal(made.status, 201, made.body.toString())
    assert.match(made.header('warning'), /nginx: Image is neither/)

    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'careful' } }
    await cluster.create('/api/v1/namespaces', namespace)
    const body = podOf('warned', ['nginx'])
    const warned = await cluster.request('POST', '/api/v1/namespaces/careful/pods', { body })
    assert.equal(warned.status, 201, warned.body.toString())
    assert.match(warned.header('warning'), /nginx: Image is neither/)
    await until('the audit log has the annotation', async () => {
      const events = await cluster.auditEvents()
      return events.some((event) =>
        JSON.stringify(event['annotations'] ?? {}).includes('validator.trow.io/'),
      )
    })
  })

  test('an object of 1 MiB, and one of 3 MiB that no database would take, is judged like any other', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    await hook(cluster, webhookOf({ url: `https://127.0.0.1:${port()}/validate-image` }))
    const env = [{ name: 'LARGE', value: 'x'.repeat(1024 * 1024) }]
    const large = (name: string, image: string) => ({
      ...podOf(name, []),
      spec: { containers: [{ name: 'c', image, env }] },
    })
    const bad = await cluster.request('POST', pods, { body: large('large-bad', 'nginx') })
    assert.equal(bad.status, 403)
    await cluster.create(pods, large('large-good', 'quay.io/team/app'))
    // The API server takes no larger requests.
    env.push({ name: 'LARGER', value: 'x'.repeat(1.9 * 1024 * 1024) })
    const dry = async (image: string): Promise<number> => {
      const body = large('largest', image)
      return (await cluster.request('POST', `${pods}?dryRun=All`, { body })).status
    }
    assert.deepEqual([await dry('nginx'), await dry('quay.io/team/app')], [403, 201])
  })

  test('by Service, under the name that the certificate is for', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    if (process.getuid?.() !== 0) return t.skip('giving the machine an address needs root')
    await using _address = await claimNodeAddress()
    const metadata = { name: 'trow', labels: { 'kubernetes.io/service-name': 'trow' } }
    const ports = [{ name: 'https', port: 443, targetPort: Number(port()) }]
    const service = { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports } }
    await cluster.create('/api/v1/namespaces/default/services', service)
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata,
      addressType: 'IPv4',
      endpoints: [{ addresses: [nodeAddress], conditions: { ready: true } }],
      ports: [{ name: 'https', port: Number(port()), protocol: 'TCP' }],
    }
    await cluster.create('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', slice)
    const reference = { namespace: 'default', name: 'trow', path: '/validate-image', port: 443 }
    await hook(cluster, webhookOf({ service: reference }))
    await until('a good pod passes', async () => {
      const body = podOf('by-service', ['quay.io/team/app'])
      const reply = await cluster.request('POST', `${pods}?dryRun=All`, { body })
      return reply.status === 201
    })
    const bad = await cluster.request('POST', pods, { body: podOf('bad', ['nginx']) })
    assert.equal(messageOf(bad), `${denied}: nginx: ${byDefault}`)
  })

  test('with the server down, Fail lets nothing in, and Ignore everything', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    const url = `https://127.0.0.1:1/validate-image`
    await hook(cluster, webhookOf({ url }))
    const body = podOf('down', ['quay.io/team/app'])
    const failed = await cluster.request('POST', pods, { body })
    assert.equal(failed.status, 500)
    assert.match(messageOf(failed), /failed calling webhook "validator\.trow\.io"/)
    await cluster.request('DELETE', `${webhooks}/trow`)
    await cluster.create(webhooks, webhookOf({ url }, 'Ignore'))
    await until('it is let in', async () => {
      const evil = podOf('ignored', [`evil.io/x@${digest}`])
      return (await cluster.request('POST', pods, { body: evil })).status === 201
    })
  })
})
