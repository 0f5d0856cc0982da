// trow webhook in a real cluster's place: as a service account with only the rights that the guide lists,
// with certificates that it makes itself, called by a real Kubernetes API server.

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { requireTool } from '../support/tools.ts'
import { until } from '../support/until.ts'

const core = '/api/v1/namespaces'
const pods = `${core}/default/pods`
const rbac = '/apis/rbac.authorization.k8s.io/v1'
const registration = '/apis/admissionregistration.k8s.io/v1'
const validating = `${registration}/validatingwebhookconfigurations`
const mutating = `${registration}/mutatingwebhookconfigurations`
const secret = `${core}/trow/secrets/trow-webhook-ca`
const digest = `sha256:${'a'.repeat(64)}`

function podOf(image: string, metadata: object): object {
  const spec = { containers: [{ name: 'c', image }] }
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec }
}

function hookOf(path: string, port: string): object {
  return {
    admissionReviewVersions: ['v1'],
    sideEffects: 'NoneOnDryRun',
    timeoutSeconds: 5,
    failurePolicy: 'Fail',
    namespaceSelector: {
      matchExpressions: [
        { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: ['trow'] },
      ],
    },
    rules: [
      {
        apiGroups: [''],
        apiVersions: ['v1'],
        operations: ['CREATE', 'UPDATE'],
        resources: ['pods'],
      },
    ],
    clientConfig: { url: `https://localhost:${port}${path}` },
  }
}

/** Rights as docs/admission.md lists them. */
const rights: readonly [path: string, body: object][] = [
  ['/api/v1/namespaces', { metadata: { name: 'trow' } }],
  [`${core}/trow/serviceaccounts`, { metadata: { name: 'webhook' } }],
  [`${core}/trow/secrets`, { metadata: { name: 'trow-webhook-ca' } }],
  [
    `${rbac}/namespaces/trow/roles`,
    {
      metadata: { name: 'webhook' },
      rules: [
        {
          apiGroups: [''],
          resources: ['secrets'],
          resourceNames: ['trow-webhook-ca'],
          verbs: ['get', 'update'],
        },
      ],
    },
  ],
  [
    `${rbac}/clusterroles`,
    {
      metadata: { name: 'trow-webhook' },
      rules: [
        {
          apiGroups: ['admissionregistration.k8s.io'],
          resources: ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations'],
          resourceNames: ['trow'],
          verbs: ['get', 'patch'],
        },
        { apiGroups: [''], resources: ['events'], verbs: ['create'] },
      ],
    },
  ],
  [`${rbac}/namespaces/trow/rolebindings`, bindingOf('webhook', 'Role', 'webhook')],
  [`${rbac}/clusterrolebindings`, bindingOf('trow-webhook', 'ClusterRole', 'trow-webhook')],
]

function bindingOf(name: string, kind: string, role: string): object {
  return {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: role },
    subjects: [{ kind: 'ServiceAccount', name: 'webhook', namespace: 'trow' }],
  }
}

describe('trow webhook with certificates of its own', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let kubernetes: Kubernetes | undefined
  const replicas: Registry[] = []

  before(async () => {
    directory = await temporaryDirectory()
  })

  after(async () => {
    for (const replica of replicas) await replica[Symbol.asyncDispose]()
    await kubernetes?.[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })

  /** Two replicas that start at once, and the webhooks that lead to the first of them. */
  async function started(t: TestContext): Promise<Kubernetes | undefined> {
    if (!requireTool(t, 'kube-apiserver') || !requireTool(t, 'etcd')) return undefined
    if (kubernetes !== undefined) return kubernetes
    const cluster = await startKubernetes({ directory: directory.path })
    kubernetes = cluster
    for (const [path, body] of rights) await cluster.create(path, body)
    const names = {
      validating: 'ValidatingWebhookConfiguration',
      mutating: 'MutatingWebhookConfiguration',
    }
    const account = await writeAccount(cluster, directory.path)
    for (const [kind, name] of Object.entries(names)) {
      const body = {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: name,
        metadata: { name: 'trow' },
      }
      await cluster.create(`${registration}/${kind}webhookconfigurations`, body)
    }
    const config = JSON.stringify({
      hostname: 'trow.example.com',
      image_validation: { default: 'Deny', allow: ['quay.io/team/', 'ghcr.io/team/'] },
      registry_proxies: { registries: [{ host: 'ghcr.io' }] },
      image_mutation: {},
      admission: {
        bind: '127.0.0.1:0',
        events: true,
        service_account_dir: account,
        self_managed: {
          dns_names: ['localhost'],
          validating_webhook: 'trow',
          mutating_webhook: 'trow',
          check_interval: '1s',
        },
      },
    })
    const { port, hostname } = new URL(cluster.url)
    const environment = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }
    const options = { command: 'webhook', config, environment } as const
    replicas.push(...(await Promise.all([startRegistry(options), startRegistry(options)])))
    const webhookPort = await portOf(replicas[0])
    await hook(cluster, `${validating}/trow`, [
      { name: 'validator.trow.io', ...hookOf('/validate-image', webhookPort) },
    ])
    await hook(cluster, `${mutating}/trow`, [
      { name: 'mutator.trow.io', ...hookOf('/mutate-image', webhookPort) },
    ])
    await until('the API server believes the certificate', async () => {
      const body = podOf('quay.io/team/app:1', { name: 'probe' })
      const reply = await cluster.request('POST', `${pods}?dryRun=All`, { body })
      return reply.status === 201
    })
    await until('the webhook is asked', async () => {
      const body = podOf('nginx', { name: 'probe' })
      return (await cluster.request('POST', `${pods}?dryRun=All`, { body })).status === 403
    })
    return cluster
  }

  test('replicas share one authority, and are ready when it is believed', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    const { data } = (await cluster.request('GET', secret)).json() as {
      data: Record<string, string>
    }
    const authority = new X509Certificate(Buffer.from(data['ca.crt'] ?? '', 'base64'))
    assert.ok(authority.ca)
    for (const replica of replicas) {
      await until('the replica is ready', async () => {
        return (await replica.request('GET', '/readiness')).status === 200
      })
      const metrics = (await replica.request('GET', '/metrics')).body.toString()
      assert.match(metrics, /trow_webhook_ca_bundle_in_sync 1/)
    }
  })

  test('an image is rewritten, and then judged as what it stands for', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    const made = await cluster.create(pods, podOf(`ghcr.io/team/app@${digest}`, { name: 'good' }))
    const { spec } = made as { spec: { containers: { image: string }[] } }
    assert.equal(spec.containers[0]?.image, `trow.example.com/f/ghcr.io/team/app@${digest}`)
    const body = podOf('ghcr.io/evil/app', { name: 'bad' })
    const refused = await cluster.request('POST', pods, { body })
    assert.equal(refused.status, 403, refused.body.toString())
    assert.match(refused.body.toString(), /trow\.example\.com\/f\/ghcr\.io\/evil\/app/)
  })

  test('a refusal is an Event of the owner; a dry run makes none', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'of-web' }
    const metadata = (name: string) => ({
      generateName: `${name}-`,
      ownerReferences: [{ ...owner, name, controller: true }],
    })
    const dry = podOf('evil.io/dry', metadata('dry'))
    assert.equal((await cluster.request('POST', `${pods}?dryRun=All`, { body: dry })).status, 403)
    const body = podOf('evil.io/real', metadata('web'))
    assert.equal((await cluster.request('POST', pods, { body })).status, 403)
    const denied = async () => {
      const reply = await cluster.request('GET', `${core}/default/events`)
      const { items } = reply.json() as {
        items: { reason: string; message: string; involvedObject: { kind: string; name: string } }[]
      }
      return items.filter(({ reason }) => reason === 'ImageDenied')
    }
    const events = await until('there is an Event', async () => {
      const found = await denied()
      return found.some(({ message }) => message.includes('evil.io/real')) && found
    })
    const event = events.find(({ message }) => message.includes('evil.io/real'))
    assert.deepEqual(
      [event?.involvedObject.kind, event?.involvedObject.name],
      ['ReplicaSet', 'web'],
    )
    assert.ok(!events.some(({ message }) => message.includes('evil.io/dry')))
  })

  test('a bundle that is overwritten is mended, and the authority changes, while pods are made', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    const before = await readAuthority(cluster)
    await replaceBundle(cluster, cluster.ca)
    await until('the bundle is mended', async () => (await readBundle(cluster)) === before.cert)
    const state = { isDone: false, made: 0 }
    const making = (async () => {
      while (!state.isDone) {
        const body = podOf('quay.io/team/app:1', { name: 'probe' })
        const reply = await cluster.request('POST', `${pods}?dryRun=All`, { body })
        assert.equal(reply.status, 201, reply.body.toString())
        state.made += 1
      }
    })()
    // As if eight months had passed: the authority is replaced by one of the replicas.
    await expireAuthority(cluster, before)
    await until('another authority serves', async () => {
      const leaves = replicas.flatMap((replica) =>
        replica.logs().filter(({ msg }) => msg === 'the webhooks have a new certificate'),
      )
      return leaves.length >= 4
    })
    state.isDone = true
    await making
    assert.ok(state.made > 0)
    const after = await readAuthority(cluster)
    assert.notEqual(after.cert, before.cert)
    const bundle = await readBundle(cluster)
    assert.ok(bundle.includes(after.cert))
  })

  test('its rights end there', async (t) => {
    const cluster = await started(t)
    if (cluster === undefined) return
    const token = await tokenOf(cluster)
    const forbidden: readonly [string, string, object?][] = [
      ['GET', `${core}/trow/secrets`],
      ['POST', `${core}/trow/secrets`, { metadata: { name: 'more' } }],
      ['GET', `${core}/kube-system/secrets/any`],
      ['GET', `${validating}/other`],
      ['DELETE', `${validating}/trow`],
      ['GET', pods],
    ]
    for (const [method, path, body] of forbidden) {
      const reply = await cluster.request(method, path, { token, ...(body && { body }) })
      assert.equal(reply.status, 403, `${method} ${path}`)
    }
  })
})

async function tokenOf(cluster: Kubernetes): Promise<string> {
  const made = await cluster.create(`${core}/trow/serviceaccounts/webhook/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {},
  })
  return (made as { status: { token: string } }).status.token
}

/** What kubelet mounts into a pod. */
async function writeAccount(cluster: Kubernetes, directory: string): Promise<string> {
  const account = join(directory, 'account')
  await mkdir(account, { recursive: true })
  await writeFile(join(account, 'token'), await tokenOf(cluster))
  await writeFile(join(account, 'ca.crt'), cluster.ca)
  await writeFile(join(account, 'namespace'), 'trow')
  return account
}

async function portOf(replica: Registry | undefined): Promise<string> {
  assert.ok(replica)
  const line = await replica.logged(({ msg }) => msg === 'the webhooks are served')
  return new URL(String(line['address'])).port
}

async function hook(cluster: Kubernetes, path: string, webhooks: object[]): Promise<void> {
  const contentType = 'application/merge-patch+json'
  const reply = await cluster.request('PATCH', path, { body: { webhooks }, contentType })
  assert.equal(reply.status, 200, reply.body.toString())
}

async function readBundle(cluster: Kubernetes): Promise<string> {
  const { webhooks } = (await cluster.request('GET', `${validating}/trow`)).json() as {
    webhooks: { clientConfig: { caBundle?: string } }[]
  }
  return Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString()
}

async function replaceBundle(cluster: Kubernetes, cert: string): Promise<void> {
  const value = Buffer.from(cert).toString('base64')
  const body = [{ op: 'replace', path: '/webhooks/0/clientConfig/caBundle', value }]
  const contentType = 'application/json-patch+json'
  const reply = await cluster.request('PATCH', `${validating}/trow`, { body, contentType })
  assert.equal(reply.status, 200, reply.body.toString())
}

interface ReadAuthority {
  readonly cert: string
  readonly data: Readonly<Record<string, string>>
}

async function readAuthority(cluster: Kubernetes): Promise<ReadAuthority> {
  const { data } = (await cluster.request('GET', secret)).json() as { data: Record<string, string> }
  return { cert: Buffer.from(data['ca.crt'] ?? '', 'base64').toString(), data }
}

/** A new authority in the Secret beside the present one, as a replica writes it when it is time. */
async function expireAuthority(cluster: Kubernetes, before: ReadAuthority): Promise<void> {
  const { makeAuthority } = await import('../../src/kubernetes/authority.ts')
  const next = await makeAuthority({ now: Date.now(), seconds: 365 * 24 * 3600 })
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  const data = {
    'ca.crt': encode(next.cert),
    'ca.key': encode(next.key),
    'previous.crt': before.data['ca.crt'],
    'previous.key': before.data['ca.key'],
  }
  const contentType = 'application/merge-patch+json'
  const reply = await cluster.request('PATCH', secret, { body: { data }, contentType })
  assert.equal(reply.status, 200, reply.body.toString())
}
