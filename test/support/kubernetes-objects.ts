// Objects of Kubernetes as tests look at them: of each kind no more than what some test asks about.

import assert from 'node:assert/strict'
import { parseAllDocuments } from 'yaml'

export type Labels = Readonly<Record<string, string>>

export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly labels?: Labels
    readonly annotations?: Labels
  }
}

interface Selector {
  readonly matchLabels: Labels
  readonly matchExpressions: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

export interface Container {
  readonly image: string
  readonly args: readonly string[]
  readonly ports?: readonly { readonly name: string }[]
  readonly volumeMounts: readonly {
    readonly name: string
    readonly mountPath: string
    readonly readOnly?: boolean
    readonly subPath?: string
  }[]
  readonly resources: {
    readonly requests: { readonly cpu?: string }
    readonly limits: { readonly memory?: string }
  }
  readonly securityContext: {
    readonly readOnlyRootFilesystem?: boolean
    readonly allowPrivilegeEscalation?: boolean
    readonly privileged?: boolean
    readonly capabilities?: { readonly drop: readonly string[] }
  }
  readonly startupProbe?: object
  readonly livenessProbe?: object
  readonly readinessProbe?: object
}

export interface Volume {
  readonly name: string
  readonly hostPath?: { readonly path: string }
  readonly secret?: {
    readonly secretName: string
    readonly items?: readonly { readonly key: string; readonly path: string }[]
  }
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Labels }
  readonly spec: {
    readonly containers: readonly [Container, ...Container[]]
    readonly volumes?: readonly Volume[]
    readonly serviceAccountName: string
    readonly automountServiceAccountToken: boolean
    readonly securityContext: {
      readonly runAsNonRoot?: boolean
      readonly runAsUser?: number
      readonly runAsGroup?: number
      readonly fsGroup?: number
      readonly seccompProfile?: { readonly type: string }
    }
    readonly hostNetwork?: boolean
    readonly hostPID?: boolean
    readonly dnsPolicy?: string
    readonly topologySpreadConstraints?: readonly object[]
    readonly affinity?: { readonly podAntiAffinity?: object }
  }
}

interface Workload {
  readonly spec: {
    readonly replicas?: number
    readonly strategy?: { readonly rollingUpdate: object }
    readonly template: PodTemplate
  }
  readonly status: { readonly readyReplicas?: number; readonly numberReady?: number }
}

interface Webhooks {
  readonly webhooks: readonly [
    {
      readonly name: string
      readonly failurePolicy: string
      readonly namespaceSelector: Selector
      readonly rules: readonly {
        readonly operations: readonly string[]
        readonly resources: readonly string[]
      }[]
      readonly clientConfig: {
        readonly caBundle?: string
        readonly service: { readonly name: string }
      }
    },
  ]
}

interface Rules {
  readonly rules: readonly {
    readonly resources: readonly string[]
    readonly resourceNames?: readonly string[]
    readonly verbs: readonly string[]
  }[]
}

/** What there is of each kind beside its name. */
interface Kinds {
  readonly StatefulSet: Workload
  readonly Deployment: Workload
  readonly DaemonSet: Workload
  readonly Service: {
    readonly spec: {
      readonly selector: Labels
      readonly ports: readonly { readonly port: number; readonly targetPort: string }[]
    }
  }
  readonly NetworkPolicy: {
    readonly spec: {
      readonly podSelector: Selector
      readonly ingress?: readonly { readonly ports: readonly { readonly port: string }[] }[]
      readonly egress?: readonly { readonly ports: readonly { readonly port: number }[] }[]
    }
  }
  readonly PodDisruptionBudget: {
    readonly spec: { readonly selector: Selector; readonly maxUnavailable: number }
  }
  readonly Secret: { readonly data?: Labels }
  readonly ServiceAccount: object
  readonly Ingress: { readonly spec: object }
  readonly HTTPRoute: { readonly spec: object }
  readonly Certificate: {
    readonly spec: { readonly secretName: string; readonly dnsNames?: readonly string[] }
  }
  readonly ValidatingWebhookConfiguration: Webhooks
  readonly MutatingWebhookConfiguration: Webhooks
  readonly Role: Rules
  readonly ClusterRole: Rules
  readonly ServiceMonitor: {
    readonly spec: {
      readonly selector: Selector & {
        readonly matchExpressions: readonly [
          { readonly key: string; readonly values: readonly string[] },
        ]
      }
      readonly endpoints: readonly { readonly targetPort: string }[]
    }
  }
  readonly PrometheusRule: {
    readonly spec: {
      readonly groups: readonly [{ readonly rules: readonly { readonly expr: string }[] }]
    }
  }
}

export type Kind = keyof Kinds

export type OfKind<K extends Kind> = KubernetesObject & { readonly kind: K } & Kinds[K]

export function parseManifests(text: string): KubernetesObject[] {
  return parseAllDocuments(text)
    .map((document) => {
      assert.deepEqual(document.errors, [])
      return document.toJS() as KubernetesObject | null
    })
    .filter((object) => object !== null)
}

export function ofKind<K extends Kind>(
  objects: readonly KubernetesObject[],
  ...kinds: readonly K[]
): OfKind<K>[] {
  return objects.filter((object): object is OfKind<K> =>
    (kinds as readonly string[]).includes(object.kind),
  )
}

export function findNamed<K extends Kind>(
  objects: readonly KubernetesObject[],
  kind: K,
  name: string,
): OfKind<K> | undefined {
  return ofKind(objects, kind).find(({ metadata }) => metadata.name === name)
}

export function decodeSecret(secret: OfKind<'Secret'> | undefined, key: string): string {
  return Buffer.from(secret?.data?.[key] ?? '', 'base64').toString()
}

export interface Workloads {
  readonly object: OfKind<'StatefulSet' | 'Deployment' | 'DaemonSet'>
  readonly pod: PodTemplate
}

export function podsOf(objects: readonly KubernetesObject[]): Workloads[] {
  const workloads = ofKind(objects, 'StatefulSet', 'Deployment', 'DaemonSet')
  return workloads.map((object) => ({ object, pod: object.spec.template }))
}
