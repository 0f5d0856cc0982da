// Nodes without a machine: kwok says that they are well, and does with pods what their kubelets would do. A pod is
// ready as soon as it is on its node, and gone as soon as it is deleted. One that is not to be started again
// succeeds, unless it waits for its input. No container runs. What the scheduler would do is done here: a pod goes
// to the node that it asks for, or to any.

import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { setInterval } from 'node:timers/promises'
import { end, type Kubernetes } from './kubernetes.ts'
import { getTool } from './tools.ts'

interface Pod {
  readonly metadata: { readonly name: string; readonly namespace: string }
  readonly spec: { readonly affinity?: unknown }
}

const lookingIntervalMs = 100

interface Nodes {
  readonly names: readonly string[]
  /** What all pods have: who listens there is what they run. */
  readonly podAddress: string
}

/** Disposing of them leaves all pods as they are. */
export async function startNodes(cluster: Kubernetes, nodes: Nodes): Promise<AsyncDisposable> {
  await using started = new AsyncDisposableStack()
  const kwok = spawn(
    getTool('kwok'),
    ['--config=-', `--kubeconfig=${cluster.kubeconfig}`, '--manage-all-nodes'],
    { env: { HOME: tmpdir() }, stdio: ['pipe', 'ignore', 'ignore'] },
  )
  started.defer(async () => await end(kwok))
  kwok.stdin.end(
    podStages(nodes.podAddress)
      .map((stage) => JSON.stringify(stage))
      .join('\n---\n'),
  )
  for (const name of nodes.names) await cluster.create('/api/v1/nodes', node(name))
  started.use(
    keepLooking(async () => {
      const path = '/api/v1/pods?fieldSelector=spec.nodeName='
      const reply = await cluster.request('GET', path)
      for (const pod of (reply.json() as { items: readonly Pod[] }).items) {
        await bind(cluster, nodes.names, pod)
      }
    }),
  )
  return started.move()
}

/** Looks again and again, until it is disposed of. */
export function keepLooking(look: () => Promise<void>): AsyncDisposable {
  const ending = new AbortController()
  const run = async () => {
    for await (const _ of setInterval(lookingIntervalMs, undefined, { signal: ending.signal })) {
      await look()
    }
  }
  const ended = run().catch((error: unknown) => {
    if (!ending.signal.aborted) throw error
  })
  return {
    [Symbol.asyncDispose]: async () => {
      ending.abort()
      await ended
    },
  }
}

function node(name: string): object {
  const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' }
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } }
}

async function bind(cluster: Kubernetes, nodes: readonly string[], pod: Pod): Promise<void> {
  const { name, namespace } = pod.metadata
  const wanted = JSON.stringify(pod.spec.affinity ?? {})
  const target = nodes.find((node) => wanted.includes(`"${node}"`)) ?? nodes[0]
  const body = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name },
    target: { apiVersion: 'v1', kind: 'Node', name: target },
  }
  await cluster.request('POST', `/api/v1/namespaces/${namespace}/pods/${name}/binding`, { body })
}

/** What becomes of a pod, in the form of kwok (https://kwok.sigs.k8s.io/docs/user/stages-configuration). */
function podStages(podAddress: string): object[] {
  const isAlive = { key: '.metadata.deletionTimestamp', operator: 'DoesNotExist' }
  return [
    stage('start', [isAlive, { key: '.status.podIP', operator: 'DoesNotExist' }], {
      statusTemplate: runningStatus(podAddress),
    }),
    stage(
      'succeed',
      [
        isAlive,
        { key: '.status.phase', operator: 'In', values: ['Running'] },
        { key: '.spec.restartPolicy', operator: 'In', values: ['Never'] },
        { key: '.spec.containers[].args[]?', operator: 'NotIn', values: ['-'] },
      ],
      { statusTemplate: 'phase: Succeeded' },
    ),
    stage('delete', [{ key: '.metadata.deletionTimestamp', operator: 'Exists' }], {
      finalizers: { empty: true },
      delete: true,
    }),
  ]
}

function stage(name: string, matchExpressions: readonly object[], next: object): object {
  return {
    apiVersion: 'kwok.x-k8s.io/v1alpha1',
    kind: 'Stage',
    metadata: { name: `pod-${name}` },
    spec: { resourceRef: { apiGroup: 'v1', kind: 'Pod' }, selector: { matchExpressions }, next },
  }
}

function runningStatus(podAddress: string): string {
  return `
phase: Running
startTime: {{ Now | Quote }}
podIP: ${podAddress}
podIPs: [{ip: ${podAddress}}]
conditions:
{{ range $_, $type := (list "PodScheduled" "Initialized" "ContainersReady" "Ready") }}
- {type: {{ $type }}, status: "True", lastTransitionTime: {{ Now | Quote }}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: true
  restartCount: 0
  state: {running: {startedAt: {{ Now | Quote }}}}
{{ end }}`
}
