// Volumes without a disk: each claim gets one of its size as soon as it is made, of a storage class that is the
// cluster's own and lets claims grow.

import type { Kubernetes } from './kubernetes.ts'
import { keepLooking } from './nodes.ts'

interface Claim {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string }
  readonly spec: { readonly resources: { readonly requests: { readonly storage: string } } }
  readonly status: { readonly phase?: string }
}

const storageClassName = 'played'

/** Disposing of them leaves all claims as they are. */
export async function startVolumes(cluster: Kubernetes): Promise<AsyncDisposable> {
  await cluster.create('/apis/storage.k8s.io/v1/storageclasses', {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: storageClassName,
      annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
    },
    provisioner: 'trow.example.com/played',
    allowVolumeExpansion: true,
  })
  return keepLooking(async () => {
    const reply = await cluster.request('GET', '/api/v1/persistentvolumeclaims')
    const claims = (reply.json() as { items: readonly Claim[] }).items
    for (const claim of claims.filter(({ status }) => status.phase === 'Pending')) {
      await cluster.request('POST', '/api/v1/persistentvolumes', { body: volumeFor(claim) })
    }
  })
}

/** The same one again for the same claim. */
function volumeFor({ metadata: { name, namespace, uid }, spec }: Claim): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: `played-${uid}` },
    spec: {
      storageClassName,
      accessModes: ['ReadWriteOnce'],
      capacity: spec.resources.requests,
      persistentVolumeReclaimPolicy: 'Retain',
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid },
      hostPath: { path: '/no-such-directory' },
    },
  }
}
