// The documentation's commands for a cluster do what it says: every block that is marked `<!-- run: cluster -->` runs in
// a shell, page by page in order, with the real kubectl and Helm, API server and controllers. Nodes are kwok's; volumes are
// played, and so are the programs of the pods: `kubectl exec` and the like end at a registry of this machine.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { podReview } from '../support/admission.ts'
import {
  openShell,
  ownImages,
  pushAll,
  type Shell,
  startOtherRegistries,
  startOwnRegistry,
} from '../support/documentation-shell.ts'
import { type Block, listBlocks, readPages } from '../support/documentation.ts'
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts'
import { startNodes } from '../support/nodes.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, getTool, requireTool, type ToolName } from '../support/tools.ts'
import { startVolumes } from '../support/volumes.ts'

const needed: readonly ToolName[] = [
  'helm-4',
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kubectl',
  'kwok',
  'podman',
]

/** Of its own, as tests run side by side. Nobody listens there. */
const podAddress = '10.77.0.3'
const kubectlDirectory = join(import.meta.dirname, '../support/played-pods')

const isRun = ({ language, comment }: Block): boolean =>
  language === 'sh' && comment === 'run: cluster'

/** What its readers have of their own. */
const ownFiles: Readonly<Record<string, string>> = {
  'values.yaml': 'trow: { domain: registry.example.com }\n',
  'validation.yaml': 'image_validation: { default: Deny, allow: [registry.k8s.io/] }\n',
  'next-release.txt': 'docker.io/library/nginx:1.27\n',
  'deployment.yaml': JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'shop' },
    spec: {
      template: { spec: { containers: [{ name: 'shop', image: 'registry.k8s.io/pause:3.10' }] } },
    },
  }),
}

/** An example of an id in the pages. */
const requestId = '7c521ed5-cb63-49e0-81b8-df16f1c94732'

const install = `
helm install trow oci://ghcr.io/trow-registry/charts/trow --namespace trow --create-namespace
kubectl --namespace trow rollout status statefulset/trow`

/** Deleting a namespace takes ten seconds, so one that is empty will do. */
const empty = `
helm uninstall trow --namespace trow --ignore-not-found --wait
kubectl delete --ignore-not-found -f deploy/nodes.yaml -f deploy/webhook.yaml
kubectl delete statefulsets,services,serviceaccounts,networkpolicies,secrets,pods,pvc --all --namespace trow
kubectl delete pods --all
kubectl delete validatingadmissionpolicies,validatingadmissionpolicybindings --all
kubectl delete namespace --ignore-not-found trow-nodes`

/** These begin with nothing, all other blocks with what these install. */
const isFirst = (script: string): boolean =>
  /^(?:helm install|kubectl apply -f deploy)/.test(script)

/** What the pods of a cluster have done by the time that somebody looks. */
async function playTraffic(registry: Registry): Promise<string> {
  const pulled = await registry.request('GET', '/v2/f/docker.io/library/busybox/manifests/stable')
  assert.equal(pulled.status, 200, pulled.body.toString())
  const body = JSON.stringify(podReview(['evil.example.com/miner']))
  const headers = { 'content-type': 'application/json' }
  const judged = await registry.request('POST', '/validate-image', { headers, body })
  assert.equal(judged.status, 200, judged.body.toString())
  await registry.logged((line) => line['request'] === pulled.header('x-request-id'))
  await registry.logged((line) => line['decision'] === 'audited')
  return pulled.header('x-request-id')
}

/** What a first start leaves on a new volume. */
async function makeVolume(directory: string): Promise<string> {
  const dataDirectory = join(directory, 'volume')
  const registry = await startRegistry({ dataDirectory })
  await registry[Symbol.asyncDispose]()
  return dataDirectory
}

async function assertRestored(dataDirectory: string): Promise<void> {
  await using registry = await startRegistry({ dataDirectory })
  const found = await registry.request('GET', '/v2/team/app/manifests/1.0')
  assert.equal(found.status, 200, found.body.toString())
}

describe('the commands of the documentation for a cluster', () => {
  const started = new AsyncDisposableStack()
  let cluster: Kubernetes | undefined
  let upstream: Registry
  before(async () => {
    if (needed.some((name) => findTool(name) === undefined)) return
    upstream = started.use(await startOtherRegistries())
    const directory = started.use(await temporaryDirectory()).path
    cluster = started.use(await startKubernetes({ directory, controllers: true }))
    started.use(await startNodes(cluster, { names: ['node-1', 'node-2'], podAddress }))
    started.use(await startVolumes(cluster))
  })
  after(async () => await started.disposeAsync())

  for (const page of readPages()) {
    const blocks = listBlocks(page)
    const marked = blocks.filter(isRun)
    if (marked.length === 0) continue
    describe(page.path, () => {
      const opened = new AsyncDisposableStack()
      let directory: TemporaryDirectory
      let shell: Shell
      let request: string
      let volume: string
      let isInstalled = false
      before(async () => {
        if (cluster === undefined) return
        directory = opened.use(await temporaryDirectory())
        const image_validation = { default: 'Deny', mode: 'audit' }
        const registry = opened.use(await startOwnRegistry(upstream, { image_validation }))
        request = await playTraffic(registry)
        const log = join(directory.path, 'pod.log')
        await writeFile(log, registry.output())
        for (const [file, text] of Object.entries(ownFiles)) {
          await writeFile(join(directory.path, file), text)
        }
        volume = await makeVolume(directory.path)
        const environment = {
          KUBECONFIG: cluster.kubeconfig,
          KUBECTL: getTool('kubectl'),
          POD_LOG: log,
          POD_DATA: volume,
          TOKEN: 'secret',
        }
        shell = await openShell({
          directory: directory.path,
          registry,
          upstream,
          page: blocks,
          programs: kubectlDirectory,
          environment,
        })
        await pushAll(registry, ownImages)
        await shell.run('trow backup --data-dir /data - > trow.tar')
      })
      after(async () => {
        if (cluster !== undefined) await shell.run(empty)
        await opened.disposeAsync()
      })
      for (const { text } of marked) {
        test(text.split('\n', 1)[0] ?? '', async (t) => {
          if (needed.some((name) => requireTool(t, name) === undefined)) return
          if (isFirst(text)) await shell.run(empty)
          else if (!isInstalled) await shell.run(empty + install)
          isInstalled = !text.startsWith('kubectl apply')
          await assert.doesNotReject(shell.run(text.replaceAll(requestId, request)))
          if (text.includes('restore')) await assertRestored(volume)
        })
      }
    })
  }
})
