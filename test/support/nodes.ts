// Nodes without a machine: what the scheduler and the kubelets would do with pods is done here. A pod goes
// to the node that it asks for, or to any; it is ready as soon as it is there, and gone as soon as it is
// deleted. One that is not to be started again succeeds, unless it waits for its input. No container runs.

import { setInterval } from 'node:timers/promises'
import type { Kubernetes } from './kubernetes.ts'

interface Pod {
  readonly metadata: {
    readonly name: string
    readonly namespace: string
    readonly deletionTimestamp?: string
  }
  readonly spec: {
    readonly nodeName?: string
    readonly affinity?: unknown
    readonly restartPolicy?: string
    readonly containers: readonly {
      readonly name: string
      readonly image: string
      readonly args?: readonly string[]
    }[]
  }
  readonly status: { readonly phase?: string }
}

const lookingIntervalMs = 100

interface Nodes {
  readonly names: readonly string[]
  /** What all pods have: who listens there is what they run. */
  readonly podAddress: string
}

/** Disposing of them leaves all pods as they are. */
export async function startNodes(cluster: Kubernetes, nodes: Nodes): Promise<AsyncDisposable> {
  for (const name of nodes.names) await cluster.create('/api/v1/nodes', node(name))
  return keepLooking(async () => {
    const reply = await cluster.request('GET', '/api/v1/pods')
    for (const pod of (reply.json() as { items: readonly Pod[] }).items) {
      await actOn(cluster, nodes, pod)
    }
  })
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
  const room = { cpu: '8', memory: '32Gi', pods: '110' }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
    status: {
      allocatable: room,
      capacity: room,
      conditions: [{ type: 'Ready', status: 'True', reason: 'Played', message: '' }],
    },
  }
}

async function actOn(cluster: Kubernetes, { names, podAddress }: Nodes, pod: Pod): Promise<void> {
  const { name, namespace, deletionTimestamp } = pod.metadata
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`
  if (deletionTimestamp !== undefined) {
    await cluster.request('DELETE', `${path}?gracePeriodSeconds=0`)
  } else if (pod.spec.nodeName === undefined) {
    const wanted = JSON.stringify(pod.spec.affinity ?? {})
    const target = names.find((node) => wanted.includes(`"${node}"`)) ?? names[0]
    const body = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name },
      target: { apiVersion: 'v1', kind: 'Node', name: target },
    }
    await cluster.request('POST', `${path}/binding`, { body })
  } else if (pod.status.phase === 'Pending') {
    const contentType = 'application/merge-patch+json'
    const body = {
      status: endsAtOnce(pod) ? { phase: 'Succeeded' } : runningStatus(pod, podAddress),
    }
    await cluster.request('PATCH', `${path}/status`, { body, contentType })
  }
}

function endsAtOnce({ spec }: Pod): boolean {
  return spec.restartPolicy === 'Never' && !spec.containers.some(({ args }) => args?.includes('-'))
}

function runningStatus(pod: Pod, podIP: string): object {
  const startedAt = new Date().toISOString().replace(/\.\d+/, '')
  return {
    phase: 'Running',
    startTime: startedAt,
    podIP,
    podIPs: [{ ip: podIP }],
    conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: startedAt,
    })),
    containerStatuses: pod.spec.containers.map(({ name, image }) => ({
      name,
      image,
      imageID: image,
      ready: true,
      restartCount: 0,
      state: { running: { startedAt } },
    })),
  }
}
