// The chart in a real cluster: API server and controllers are real, nodes are kwok's, and the
// namespace takes only pods without privileges. Installed, upgraded and removed by both Helms.

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test, type TestContext } from 'node:test'
import { parseDocument } from 'yaml'
import { chartMatrix } from '../support/chart-matrix.ts'
import {
  chartDirectory,
  type Helm,
  helms,
  renderChart,
  runHelm,
  type Values,
} from '../support/helm.ts'
import { findFreePort } from '../support/free-port.ts'
import type { Reply } from '../support/http-client.ts'
import { decodeSecret, type Kind, type OfKind } from '../support/kubernetes-objects.ts'
import { addDefinitions, runKubectl } from '../support/kubectl.ts'
import { claimNodeAddress, type Kubernetes, startKubernetes } from '../support/kubernetes.ts'
import { startNodes } from '../support/nodes.ts'
import { type RunningCommand, startTrow } from '../support/run-command.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, requireTool, type ToolName } from '../support/tools.ts'
import { until } from '../support/until.ts'

const needed: readonly ToolName[] = [
  ...helms,
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kubectl',
  'kwok',
]

/** Of its own, as tests run side by side. */
const podAddress = '10.77.0.2'
const deployDirectory = join(import.meta.dirname, '../../deploy')

const started = new AsyncDisposableStack()
let cluster: Kubernetes | undefined
let directory = ''

/** The cluster, unless something that it needs is missing: then the test is skipped. */
function clusterFor(t: TestContext): Kubernetes | undefined {
  if (needed.some((name) => requireTool(t, name) === undefined)) return undefined
  return cluster
}

before(async () => {
  if (needed.some((name) => findTool(name) === undefined)) return
  directory = started.use(await temporaryDirectory()).path
  cluster = started.use(await startKubernetes({ directory, controllers: true }))
  started.use(await startNodes(cluster, { names: ['node-1', 'node-2'], podAddress }))
  await addDefinitions(cluster)
  await addNamespace(cluster, 'trow', 'restricted')
  await addNamespace(cluster, 'trow-nodes', 'privileged')
})

after(async () => await started.disposeAsync())

async function addNamespace(cluster: Kubernetes, name: string, podSecurity: string): Promise<void> {
  const labels = Object.fromEntries(
    ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, podSecurity]),
  )
  const metadata = { name, labels }
  await cluster.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata })
  // What the controllers make for each namespace is not the chart's.
  for (const made of ['serviceaccounts/default', 'configmaps/kube-root-ca.crt']) {
    await until(`${name} has ${made}`, async () => {
      const reply = await cluster.request('GET', `/api/v1/namespaces/${name}/${made}`)
      return reply.status === 200
    })
  }
}

test('the API server takes the objects of all combinations of values, and warns of none', async (t) => {
  const cluster = clusterFor(t)
  if (cluster === undefined) return
  const objects = new Set<string>()
  for (const { values } of chartMatrix()) {
    const { stdout } = await renderChart(values)
    for (const text of stdout.split(/^---$/m)) if (text.trim() !== '') objects.add(text)
  }
  assert.ok(objects.size > 40)
  const args = ['apply', '--dry-run=server', '--validate=strict', '--filename=-']
  const { code, stdout, stderr } = await runKubectl(cluster, args, [...objects].join('---'))
  assert.equal(code, 0, stderr)
  assert.equal(stderr, '')
  assert.match(stdout, /validatingwebhookconfiguration\S+ created \(server dry run\)/)
})

const policy = { default: 'Deny', allow: ['registry.k8s.io/'] }
const installed: Values = {
  trow: { validationWebhook: { enabled: true, config: policy } },
  nodeConfiguration: { enabled: true, namespace: 'trow-nodes' },
}
const upgraded: Values = {
  ...installed,
  trow: {
    user: 'ann',
    password: 'secret',
    validationWebhook: { enabled: true, failurePolicy: 'Ignore', config: policy },
  },
  webhooks: { replicas: 3 },
}

const withMutation: Values = {
  ...installed,
  trow: {
    domain: 'registry.example.com',
    validationWebhook: { enabled: true, config: policy },
    mutationWebhook: { enabled: true },
    proxyRegistries: { config: { registries: [{ host: 'registry.k8s.io' }] } },
  },
}

async function helmRun(helm: Helm, cluster: Kubernetes, args: readonly string[], values?: Values) {
  const environment = { KUBECONFIG: cluster.kubeconfig, HOME: directory }
  const waiting = ['--namespace=trow', '--wait', '--timeout=90s']
  const result = await runHelm(helm, [...args, ...waiting], {
    environment,
    ...(values && { values }),
  })
  assert.equal(result.code, 0, result.stderr)
  return result.stdout
}

async function get<K extends Kind>(cluster: Kubernetes, path: string): Promise<OfKind<K>> {
  const reply = await cluster.request('GET', path)
  assert.equal(reply.status, 200, reply.body.toString())
  return reply.json() as OfKind<K>
}

const apps = '/apis/apps/v1/namespaces'
const webhookPath =
  '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/trow-validation'
const authorityPath = '/api/v1/namespaces/trow/secrets/trow-webhook-ca'

async function assertTrusted(cluster: Kubernetes): Promise<void> {
  const { webhooks } = await get<'ValidatingWebhookConfiguration'>(cluster, webhookPath)
  assert.ok(webhooks[0].clientConfig.caBundle, 'the API server would trust no answer any more')
  const authority = await get<'Secret'>(cluster, authorityPath)
  assert.ok(authority.data?.['tls.crt'], 'all replicas would be distrusted')
}

/** What the replicas do once they run: fill the Secret, and say whom the API server may trust. */
async function playWebhook(cluster: Kubernetes): Promise<void> {
  const contentType = 'application/strategic-merge-patch+json'
  const caBundle = Buffer.from('-----BEGIN CERTIFICATE-----').toString('base64')
  const secret = await cluster.request('PATCH', authorityPath, {
    contentType,
    body: { data: { 'tls.crt': caBundle } },
  })
  assert.equal(secret.status, 200, secret.body.toString())
  const webhooks = [{ name: 'validator.trow.io', clientConfig: { caBundle } }]
  const hook = await cluster.request('PATCH', webhookPath, { contentType, body: { webhooks } })
  assert.equal(hook.status, 200, hook.body.toString())
}

/** Names of all objects of all kinds, whatever namespace they are in; those of a cluster's life not. */
async function listNames(cluster: Kubernetes): Promise<string[]> {
  const { stdout: kinds } = await runKubectl(cluster, ['api-resources', '--verbs=list', '-o=name'])
  const skipped = /^(?:events|leases|endpoints|endpointslices)\b|^componentstatuses/
  const wanted = kinds.split('\n').filter((kind) => kind !== '' && !skipped.test(kind))
  const flags = ['--all-namespaces', '--ignore-not-found', '--output=name']
  const { stdout, stderr } = await runKubectl(cluster, ['get', wanted.join(), ...flags])
  assert.equal(stderr, '')
  return stdout.split('\n').filter((name) => name !== '')
}

for (const helm of helms) {
  describe(helm, () => {
    test('installs, upgrades and rolls back without undoing what runs, and leaves nothing but the data', async (t) => {
      const cluster = clusterFor(t)
      if (cluster === undefined) return
      const before = await listNames(cluster)
      const notes = await helmRun(helm, cluster, ['install', 'trow', chartDirectory], installed)
      assert.match(notes, /kubectl/)
      const registry = await get<'StatefulSet'>(cluster, `${apps}/trow/statefulsets/trow`)
      assert.equal(registry.status.readyReplicas, 1)
      const nodes = await get<'DaemonSet'>(cluster, `${apps}/trow-nodes/daemonsets/trow-nodes`)
      assert.equal(nodes.status.numberReady, 2, 'one on each node')
      await playWebhook(cluster)

      await helmRun(helm, cluster, ['upgrade', 'trow', chartDirectory], upgraded)
      const deployment = await get<'Deployment'>(cluster, `${apps}/trow/deployments/trow-webhook`)
      assert.equal(deployment.status.readyReplicas, 3)
      const { webhooks } = await get<'ValidatingWebhookConfiguration'>(cluster, webhookPath)
      const [hook] = webhooks
      assert.equal(hook.failurePolicy, 'Ignore')
      await assertTrusted(cluster)

      await helmRun(helm, cluster, ['rollback', 'trow', '1'])
      const rolledBack = await get<'ValidatingWebhookConfiguration'>(cluster, webhookPath)
      assert.equal(rolledBack.webhooks[0].failurePolicy, 'Fail')
      await assertTrusted(cluster)

      await helmRun(helm, cluster, ['uninstall', 'trow'])
      const claim = 'persistentvolumeclaim/data-vol-trow-0'
      await until('nothing but the data is left', async () => {
        const left = (await listNames(cluster)).filter((name) => !before.includes(name))
        return left.join() === (before.includes(claim) ? '' : claim)
      })
    })
  })
}

test('the volume of a running registry is enlarged as docs/kubernetes.md says', async (t) => {
  const cluster = clusterFor(t)
  if (cluster === undefined) return
  await helmRun('helm-4', cluster, ['install', 'trow', chartDirectory], {})
  const pod = '/api/v1/namespaces/trow/pods/trow-0'
  const running = await get(cluster, pod)
  const orphaned = ['delete', 'statefulset', 'trow', '--namespace=trow', '--cascade=orphan']
  assert.equal((await runKubectl(cluster, orphaned)).code, 0)
  const size = 'volumeClaim.resources.requests.storage=50Gi'
  const upgrade = ['upgrade', 'trow', chartDirectory, '--reset-then-reuse-values', '--set', size]
  await helmRun('helm-4', cluster, upgrade)
  assert.deepEqual((await get(cluster, pod)).metadata.uid, running.metadata.uid)
  await helmRun('helm-4', cluster, ['uninstall', 'trow'])
})

/** A service account's token, as its pods have it. */
async function writeAccount(cluster: Kubernetes, name: string, path: string): Promise<void> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }
  const reply = await cluster.request(
    'POST',
    `/api/v1/namespaces/trow/serviceaccounts/${name}/token`,
    { body },
  )
  assert.equal(reply.status, 201, reply.body.toString())
  const { token } = (reply.json() as { status: { token: string } }).status
  const files = { token, 'ca.crt': cluster.ca, namespace: 'trow' }
  await mkdir(path, { recursive: true })
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text)
}

/** `trow webhook` as the chart runs it, with its rights, its configuration and the address of its pods. */
async function startWebhook(cluster: Kubernetes): Promise<RunningCommand> {
  const account = join(directory, 'webhook-account')
  await writeAccount(cluster, 'trow-webhook', account)
  const secret = await get<'Secret'>(cluster, '/api/v1/namespaces/trow/secrets/trow-webhook-config')
  const config = parseDocument(decodeSecret(secret, 'config.yaml'))
  config.setIn(['admission', 'bind'], `${podAddress}:8443`)
  config.setIn(['admission', 'service_account_dir'], account)
  const file = join(directory, 'webhook.yaml')
  await writeFile(file, config.toString())
  const { hostname, port } = new URL(cluster.url)
  const probes = `127.0.0.1:${await findFreePort()}`
  return startTrow(['webhook', `--config-file=${file}`, `--bind=${probes}`], {
    environment: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
  })
}

async function createPod(cluster: Kubernetes, namespace: string, image: string): Promise<Reply> {
  const containers = [{ name: 'c', image }]
  const metadata = { generateName: 'pod-' }
  const body = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } }
  return await cluster.request('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, { body })
}

/** All pods of the release, at once, while no webhook answers. */
async function assertComesBack(cluster: Kubernetes): Promise<void> {
  for (const namespace of ['trow', 'trow-nodes']) {
    const { code } = await runKubectl(cluster, ['delete', 'pods', '--all', '-n', namespace])
    assert.equal(code, 0)
  }
  await assertRolledOut(cluster)
}

async function assertRolledOut(cluster: Kubernetes): Promise<void> {
  for (const rollout of [
    'statefulset/trow --namespace=trow',
    'deployment/trow-webhook --namespace=trow',
    'daemonset/trow-nodes --namespace=trow-nodes',
  ]) {
    const args = ['rollout', 'status', '--timeout=60s', ...rollout.split(' ')]
    const { code, stderr } = await runKubectl(cluster, args)
    assert.equal(code, 0, stderr)
  }
}

test('the webhook decides, with its own certificate and no right but those of the chart', async (t) => {
  const cluster = clusterFor(t)
  if (cluster === undefined) return
  if (process.getuid?.() !== 0) return t.skip('giving the machine an address needs root')
  await using _address = await claimNodeAddress(podAddress)
  await helmRun('helm-4', cluster, ['install', 'trow', chartDirectory], withMutation)
  const refused = await createPod(cluster, 'default', 'registry.k8s.io/pause')
  assert.equal(refused.status, 500, 'nobody answers yet, and the policy is to fail then')
  await assertComesBack(cluster)
  const webhook = await startWebhook(cluster)
  try {
    await until('a pod is let in', async () => {
      const reply = await createPod(cluster, 'default', 'registry.k8s.io/pause')
      return reply.status === 201
    })
    const denied = await createPod(cluster, 'default', 'evil.example.com/miner')
    assert.equal(denied.status, 403, denied.body.toString())
    assert.match(denied.body.toString(), /validator\.trow\.io.*evil\.example\.com\/miner: Image is/)
    const changed = await createPod(cluster, 'default', 'registry.k8s.io/pause:3.10')
    assert.match(
      changed.body.toString(),
      /"registry\.example\.com\/f\/registry\.k8s\.io\/pause:3\.10"/,
    )
    const excluded = await createPod(cluster, 'kube-system', 'evil.example.com/miner')
    assert.equal(excluded.status, 201, excluded.body.toString())
  } finally {
    webhook.signal('SIGTERM')
    const { code, stderr } = await webhook.result
    await helmRun('helm-4', cluster, ['uninstall', 'trow'])
    assert.equal(code, 0, stderr)
  }
})

test('the plain manifests are applied and deleted without Helm', async (t) => {
  const cluster = clusterFor(t)
  if (cluster === undefined) return
  const files = ['trow.yaml', 'webhook.yaml', 'nodes.yaml'].map((file) =>
    join(deployDirectory, file),
  )
  const before = await listNames(cluster)
  for (const file of files) {
    const flags = ['--validate=strict', `--filename=${file}`]
    const applied = await runKubectl(cluster, ['apply', ...flags])
    assert.equal(applied.code, 0, applied.stderr)
  }
  await assertRolledOut(cluster)
  await playWebhook(cluster)
  const again = await runKubectl(cluster, ['apply', ...files.map((file) => `--filename=${file}`)])
  assert.equal(again.code, 0, again.stderr)
  await assertTrusted(cluster)
  for (const file of files.toReversed()) {
    const { code, stderr } = await runKubectl(cluster, ['delete', `--filename=${file}`])
    assert.equal(code, 0, stderr)
  }
  const left = (await listNames(cluster)).filter((name) => !before.includes(name))
  assert.deepEqual(left, [])
})
