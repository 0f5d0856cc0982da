// The values of the chart, as Helm 3 and Helm 4 judge them: what is a mistake is told by the name of the
// value, before anything reaches a cluster.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import manifest from '../../package.json' with { type: 'json' }
import { chartMatrix, merged } from '../support/chart-matrix.ts'
import { chartDirectory, helms, renderChart, runHelm, type Values } from '../support/helm.ts'
import { requireTool } from '../support/tools.ts'

interface Schema {
  readonly $ref?: string
  readonly type?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly definitions?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: unknown
}

const schema = JSON.parse(
  await readFile(join(chartDirectory, 'values.schema.json'), 'utf8'),
) as Schema
const valuesText = await readFile(join(chartDirectory, 'values.yaml'), 'utf8')
const defaults = parse(valuesText) as Values

/** Paths of values that the schema knows by name, without those of Trow's own chart. */
function schemaPaths({ properties = {} }: Schema, parent = ''): string[] {
  return Object.entries(properties).flatMap(([name, property]) => {
    if (property.$ref === '#/definitions/renamed' || `${parent}${name}` === 'global') return []
    const path = `${parent}${name}`
    // What these hold belongs to Trow's own configuration, or to Kubernetes.
    const isOpen = property.$ref !== undefined || path === 'volumeClaim' || !property.properties
    return [path, ...(isOpen || isFreeInDefaults(path) ? [] : schemaPaths(property, `${path}.`))]
  })
}

/** An object whose default is empty is shown as a whole. */
function isFreeInDefaults(path: string): boolean {
  const value = valueAt(path)
  return isObject(value) && Object.keys(value).length === 0
}

function valueAt(path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((place, name) => (isObject(place) ? place[name] : undefined), defaults)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Null for all of the chart's that is empty, or off. */
function blankOf(values: Values): Values {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]): [string, unknown][] => {
      // Kubernetes' own.
      if (/securityContext$/i.test(name)) return []
      if (value === '' || value === null || value === false) return [[name, null]]
      if (typeof value !== 'object') return []
      if (Object.keys(value).length === 0) return [[name, null]]
      return isObject(value) ? [[name, blankOf(value)]] : []
    }),
  )
}

const freeButFull: Values = {
  ingress: { annotations: null },
  webhooks: { excludedNamespaces: null, resources: null },
  nodeConfiguration: { tolerations: null, nodeSelector: null, resources: null },
  resources: null,
  nodeSelector: null,
  podSecurityContext: null,
  containerSecurityContext: null,
  networkPolicy: { egress: { ports: null } },
}

/** A value at its path, which may be given to Helm. */
const placed = (path: string, value: unknown): Values =>
  path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Values

/** Sections whose keys the schema knows, each after the one that it is in. */
function sectionPaths({ properties = {} }: Schema, parent = ''): string[] {
  return Object.entries(properties).flatMap(([name, property]) => {
    const path = `${parent}${name}`
    if (!property.properties || isFreeInDefaults(path)) return []
    return [path, ...sectionPaths(property, `${path}.`)]
  })
}

/** Values that say something by default, but lists and objects that hold what people like. */
function filledPaths(): string[] {
  // Not needed where nodes have another way to the registry.
  const optional = ['nodeConfiguration.nodePort']
  return schemaPaths(schema).filter((path) => {
    const value = valueAt(path)
    const isFilled = typeof value !== 'object' && value !== '' && value !== false
    return isFilled && !optional.includes(path)
  })
}

/** How the message of the schema names a value that is null, which Helm takes away. */
function missingProperty(path: string): RegExp {
  const names = path.split('.')
  const name = names.pop()
  const parent = names.map((part) => `/${part}`).join('')
  return new RegExp(`^ *- at '${parent}': missing propert(?:y|ies) .*'${name}'`, 'm')
}

describe('values', () => {
  test('are all in values.yaml, so that `helm show values` tells of them', () => {
    const missing = schemaPaths(schema).filter((path) => valueAt(path) === undefined)
    assert.deepEqual(missing, [])
  })

  test('of values.yaml are all in the schema', async (t) => {
    if (requireTool(t, 'helm-4') === undefined) return
    const { code, stderr } = await renderChart(defaults)
    assert.equal(code, 0, stderr)
  })

  /** `domain:` with nothing after it is null in YAML, and Helm takes the default away. */
  test('that are empty by default may be left blank, and those that are lists or free may be emptied', async (t) => {
    if (requireTool(t, 'helm-4') === undefined) return
    const scenes = chartMatrix().filter(({ name }) => /ingress and route, with every/.test(name))
    assert.ok(scenes.length > 5)
    for (const { name, values } of scenes) {
      const usual = await renderChart(values)
      const blank = await renderChart(merged(blankOf(defaults), values))
      assert.equal(blank.stderr, '', name)
      assert.equal(blank.stdout, usual.stdout, name)
      const emptied = await renderChart(merged(freeButFull, values))
      assert.equal(emptied.stderr, '', name)
    }
  })

  test('that say something by default are refused by name when they are null', async (t) => {
    if (requireTool(t, 'helm-4') === undefined) return
    const filled = filledPaths()
    assert.ok(filled.length > 20)
    const blank = filled.map((path) => placed(path, null)).reduce(merged)
    const { code, stderr } = await renderChart(blank)
    assert.equal(code, 1)
    for (const path of filled) assert.match(stderr, missingProperty(path))
  })

  test('no object of the schema takes keys that it does not know', () => {
    const open: string[] = []
    const visit = (node: unknown, path: string) => {
      if (!isObject(node)) return
      if (isObject(node['properties']) && node['additionalProperties'] !== false) open.push(path)
      for (const [name, child] of Object.entries(node)) visit(child, `${path}/${name}`)
    }
    visit(schema, '')
    assert.deepEqual(open, [])
  })

  test('chart and program have one version', async () => {
    const chart = parse(await readFile(join(chartDirectory, 'Chart.yaml'), 'utf8')) as Values
    assert.equal(chart['version'], manifest.version)
    assert.equal(chart['appVersion'], manifest.version)
  })
})

/** What is refused, and what the message says. */
const refused: readonly [values: Values, message: RegExp][] = [
  [{ trwo: {} }, /additional properties 'trwo' not allowed/],
  [{ trow: { domian: 'x' } }, /'\/trow'.*'domian' not allowed/s],
  [{ webhooks: { replica: 2 } }, /'\/webhooks'.*'replica' not allowed/s],
  [{ image: { digest: 'sha256:1' } }, /'\/image\/digest'/],
  [{ image: { pullPolicy: 'Sometimes' } }, /'\/image\/pullPolicy'/],
  [{ service: { type: 'ExternalName' } }, /'\/service\/type'/],
  [{ service: { port: '8000' } }, /'\/service\/port'.*got string, want integer/s],
  [{ trow: { password: 1234 } }, /'\/trow\/password'.*got number, want string/s],
  [{ trow: { bind: '0.0.0.0:9000' } }, /'\/trow\/bind'/],
  [{ trow: { config: { data_dir: '/x' } } }, /'data_dir' not allowed/],
  [{ trow: { config: { uploads: { idle_timout: '1h' } } } }, /'idle_timout' not allowed/],
  [
    { trow: { proxyRegistries: { config: { registries: [{ hots: 'x' }] } } } },
    /registries\/0'.*(?:'hots' not allowed|missing property 'host')/s,
  ],
  [{ trow: { validationWebhook: { config: { default: 'deny' } } } }, /config\/default'/],
  [{ trow: { validationWebhook: { failurePolicy: 'Open' } } }, /failurePolicy'/],
  [{ trow: { logLevel: 'verbose' } }, /'\/trow\/logLevel'/],
  [{ webhooks: { tls: { mode: 'selfsigned' } } }, /'\/webhooks\/tls\/mode'/],
  [{ webhooks: { timeoutSeconds: 31 } }, /'\/webhooks\/timeoutSeconds'/],
  [{ ingress: { hosts: [{ host: 'x', paths: ['v2'] }] } }, /'\/ingress\/hosts\/0\/paths\/0'/],
  [{ replicaCount: 2 }, /replicaCount: only 1 or 0/],
  [{ service: { nodePort: 30500 } }, /set service\.type=NodePort/],
  [{ trow: { user: 'ann' } }, /trow\.user is set without a password/],
  [{ trow: { password: 'x' } }, /trow\.password is set without trow\.user/],
  [{ trow: { existingSecret: { name: 'x' } } }, /existingSecret\.name is set without trow\.user/],
  [{ trow: { existingConfigSecret: 'x', user: 'a', password: 'b' } }, /replaces trow\.user/],
  [{ ingress: { enabled: true } }, /ingress\.enabled needs a name: set trow\.domain/],
  [{ httpRoute: { enabled: true }, trow: { domain: 'x' } }, /set httpRoute\.parentRefs/],
  [{ trow: { validationWebhook: { enabled: true } } }, /config\.default must be given/],
  [
    { trow: { domain: 'r.example.com' }, image: { repository: 'r.example.com/trow' } },
    /image\.repository/,
  ],
  [
    {
      trow: { validationWebhook: { enabled: true, config: { default: 'Deny' } } },
      webhooks: { tls: { mode: 'existingSecret', existingSecret: { name: 'x' } } },
    },
    /existingSecret\.caBundle: set its authority/,
  ],
  [
    { nodeConfiguration: { enabled: true, nodePort: null } },
    /set nodeConfiguration\.nodePort=30500/,
  ],
  [{ nodeConfiguration: { enabled: true, fallback: false } }, /Trow's own image is at ghcr\.io/],
  [{ nodeConfiguration: { mirrors: ['trow:8000'] } }, /'\/nodeConfiguration\/mirrors\/0'/],
  [{ trow: { mutationWebhook: { enabled: true } } }, /nodes need a name for the registry/],
  [
    { trow: { mutationWebhook: { enabled: true }, domain: 'r.example.com' } },
    /set trow\.proxyRegistries\.config\.registries\[0\]\.host/,
  ],
  [{ trow: { mutationWebhook: { config: { pin_digests: true } } } }, /'pin_digests' not allowed/],
  // Values of Trow's own chart.
  [
    { webhooks: { tls: { patch: { enabled: true } } } },
    /webhooks\.tls\.patch is a value of Trow's own/,
  ],
  [{ webhooks: { tls: { certmanager: { enabled: true } } } }, /webhooks\.tls\.mode=certManager/],
  [{ webhooks: { tls: { existingSecretRef: 'x' } } }, /webhooks\.tls\.mode=existingSecret/],
  [{ trow: { onWebhookFailure: 'Fail' } }, /trow\.validationWebhook\.failurePolicy/],
  [{ trow: { validation: {} } }, /here it is trow\.validationWebhook/],
  [{ trow: { proxyConfig: {} } }, /here it is trow\.proxyRegistries\.config/],
  [{ trow: { proxyRegistries: { webhook: {} } } }, /nodeConfiguration\.enabled=true/],
  [{ webhookPatch: { enabled: true } }, /here it is webhooks\.tls\.mode=self/],
]

for (const helm of helms) {
  describe(`${helm} refuses`, () => {
    for (const path of sectionPaths(schema)) {
      test(`${path}: null`, async (t) => {
        if (requireTool(t, helm) === undefined) return
        const { code, stderr } = await renderChart(placed(path, null), { helm })
        assert.equal(code, 1)
        assert.match(stderr, missingProperty(path))
      })
    }
    for (const [values, message] of refused) {
      test(JSON.stringify(values), async (t) => {
        if (requireTool(t, helm) === undefined) return
        const { code, stderr } = await renderChart(values, { helm })
        assert.equal(code, 1)
        assert.match(stderr, message)
      })
    }
  })
}

/** Values that the examples of Trow's own chart have. */
const valuesOfTrow = {
  replicaCount: 1,
  image: { repository: 'ghcr.io/trow-registry/trow', tag: '', pullPolicy: 'IfNotPresent' },
  podSecurityContext: { runAsNonRoot: true, runAsUser: 1000, runAsGroup: 3000, fsGroup: 3000 },
  containerSecurityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
  trow: {
    domain: 'myregistry.mydomain.io',
    bind: '0.0.0.0',
    user: 'user',
    password: 'password',
    validationWebhook: {
      enabled: true,
      failurePolicy: 'Ignore',
      config: { default: 'Deny', allow: ['127.0.0.1'], deny: ['127.0.0.1/f/docker/nope/'] },
    },
    proxyRegistries: {
      config: {
        offline: false,
        max_size: '50GiB',
        registries: [
          { host: 'docker.io', username: 'toto', password: 'titi' },
          { host: 'ghcr.io' },
          { host: 'r.example.com', path_prefix: 'project-a', username: 'a', password: 'b' },
        ],
      },
    },
    logLevel: 'info',
  },
  webhooks: { namespaceSelector: { matchLabels: { trow: 'yes' } }, replicas: 2 },
  imagePullSecrets: [],
  nameOverride: '',
  fullnameOverride: '',
  service: { type: 'NodePort', port: 8000, nodePort: 30500 },
  ingress: {
    enabled: true,
    annotations: {},
    ingressClassName: '',
    hosts: [{ paths: ['/'], host: '' }],
    tls: [{ secretName: 'chart-example-tls', hosts: ['chart-example.local'] }],
  },
  resources: { limits: { memory: '256Mi' } },
  nodeSelector: {},
  tolerations: [],
  affinity: {},
  volumeClaim: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '20Gi' } } },
  additionalEnv: [{ name: 'ENV_VAR_NAME', value: 'env_var_value' }],
}

for (const helm of helms) {
  describe(helm, () => {
    test('finds nothing to say about the chart', async (t) => {
      if (requireTool(t, helm) === undefined) return
      const { code, stdout } = await runHelm(helm, ['lint', '--strict', chartDirectory])
      assert.equal(code, 0, stdout)
      assert.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/)
    })

    test("takes the values of Trow's own chart as they are", async (t) => {
      if (requireTool(t, helm) === undefined) return
      const { code, stderr } = await renderChart(valuesOfTrow, { helm })
      assert.equal(code, 0, stderr)
    })
  })
}
