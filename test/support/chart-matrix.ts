// The ways to use the chart that tests go through: every combination of the choices that concern more
// than one object.

import type { Values } from './helm.ts'

interface Choice {
  readonly [name: string]: Values
}

const policy = { default: 'Deny', allow: ['registry.k8s.io/'] }
const domain = 'registry.example.com'
const caBundle = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'

const webhook = (tls: Values): Values => ({
  trow: { validationWebhook: { enabled: true, config: policy } },
  webhooks: { tls },
})

const proxied = { registries: [{ host: 'docker.io', username: 'ann', password: 'secret' }] }

const webhooks: Choice = {
  'no webhook': {},
  'webhook with its own authority': webhook({ mode: 'self' }),
  'webhook with cert-manager': merged(webhook({ mode: 'certManager' }), {
    trow: { mutationWebhook: { enabled: true }, domain, proxyRegistries: { config: proxied } },
  }),
  'webhook with a secret': webhook({
    mode: 'existingSecret',
    existingSecret: { name: 'certificate', caBundle },
  }),
}

const entrances: Choice = {
  'node port': { service: { type: 'NodePort', nodePort: 30500 } },
  'ingress and route': {
    trow: { domain },
    ingress: { enabled: true, tls: [{ secretName: 'registry-tls', hosts: [domain] }] },
    httpRoute: { enabled: true, parentRefs: [{ name: 'gateway' }] },
  },
}

const sizes: Choice = {
  'as small as can be': {
    webhooks: { replicas: 1 },
    persistence: { enabled: false },
    networkPolicy: { enabled: false },
  },
  'with everything': {
    trow: {
      user: 'ann',
      existingSecret: { name: 'login' },
      tls: { existingSecret: 'registry-tls' },
      secrets: ['docker-hub'],
      proxyRegistries: { config: { max_size: '50GB' } },
    },
    webhooks: { replicas: 3, autoscaling: { enabled: true, minReplicas: 3 } },
    networkPolicy: { egress: { enabled: true } },
    metrics: {
      serviceMonitor: { enabled: true },
      prometheusRule: { enabled: true },
      dashboard: { enabled: true },
    },
  },
}

const nodes: Choice = {
  'nodes as they are': {},
  'nodes that pull through Trow': {
    nodeConfiguration: { enabled: true, namespace: 'trow-nodes' },
  },
  'nodes of k3s': {
    nodeConfiguration: {
      enabled: true,
      namespace: 'trow-nodes',
      runtime: 'k3s',
      registries: ['docker.io'],
      mirrors: ['https://registry.example.com'],
      caSecret: { name: 'authority' },
    },
  },
}

/** Each combination with its name. */
export function chartMatrix(): { readonly name: string; readonly values: Values }[] {
  return [webhooks, entrances, sizes, nodes].reduce<{ name: string; values: Values }[]>(
    (combinations, choice) =>
      combinations.flatMap(({ name, values }) =>
        Object.entries(choice).map(([chosen, added]) => ({
          name: name === '' ? chosen : `${name}, ${chosen}`,
          values: merged(values, added),
        })),
      ),
    [{ name: '', values: {} }],
  )
}

/** Of two that differ the second one counts. */
export function merged(a: Values, b: Values): Values {
  const both: Record<string, unknown> = { ...a }
  for (const [key, value] of Object.entries(b)) {
    const other = both[key]
    both[key] = isMap(other) && isMap(value) ? merged(other, value) : value
  }
  return both
}

function isMap(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
