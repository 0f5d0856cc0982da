// The objects that the chart makes, over all combinations of its choices: they fit each other, run with no
// more rights than they need, and their configuration is one that Trow takes.

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { before, describe, test, type TestContext } from 'node:test'
import { collectDefaultMetrics, Registry } from '@prometheus-io/client'
import { parse } from 'yaml'
import { formatPlainManifests, plainManifests } from '../../scripts/release/plain-manifests.ts'
import type { KeyFacts } from '../../src/config/schema-fields.ts'
import { configSchema } from '../../src/config/schema.ts'
import { chartMatrix } from '../support/chart-matrix.ts'
import { chartDirectory, renderChart, runTool, type Values } from '../support/helm.ts'
import {
  decodeSecret,
  findNamed,
  type KubernetesObject,
  type Labels,
  ofKind,
  parseManifests,
  podsOf,
} from '../support/kubernetes-objects.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, requireTool } from '../support/tools.ts'

interface Rendered {
  readonly name: string
  readonly text: string
  readonly objects: readonly KubernetesObject[]
}

const rendered: Rendered[] = []

before(async () => {
  if (findTool('helm-4') === undefined) return
  for (const { name, values } of chartMatrix()) {
    const { code, stdout, stderr } = await renderChart(values)
    assert.equal(code, 0, `${name}: ${stderr}`)
    rendered.push({ name, text: stdout, objects: parseManifests(stdout) })
  }
})

/** Runs a check on each combination; a failure says which one it was. */
function forEach(t: TestContext, check: (objects: readonly KubernetesObject[]) => void): void {
  if (requireTool(t, 'helm-4') === undefined) return
  for (const { name, objects } of rendered) {
    try {
      check(objects)
    } catch (error) {
      throw new Error(name, { cause: error })
    }
  }
}

const clusterScoped = [
  'ClusterRole',
  'ClusterRoleBinding',
  'MutatingWebhookConfiguration',
  'ValidatingWebhookConfiguration',
]

const selects = (selector: Labels, labels: Labels) =>
  Object.entries(selector).every(([key, value]) => labels[key] === value)

describe('objects of the chart', () => {
  test('have a name of their own and a namespace unless they have none', (t) =>
    forEach(t, (objects) => {
      const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`)
      assert.equal(new Set(names).size, names.length)
      for (const { kind, metadata } of objects) {
        const ofNodes = metadata.labels?.['app.kubernetes.io/component'] === 'nodes'
        const namespace = ofNodes ? 'trow-nodes' : 'trow'
        const expected = clusterScoped.includes(kind) ? undefined : namespace
        assert.equal(metadata.namespace, expected, `${kind}/${metadata.name}`)
        assert.equal(metadata.labels?.['app.kubernetes.io/instance'], 'trow')
      }
    }))

  test('select pods that are there, at ports that they have', (t) =>
    forEach(t, (objects) => {
      const pods = podsOf(objects).map(({ pod }) => pod)
      const portsOf = (selector: Record<string, string>) => {
        const found = pods.filter((pod) => selects(selector, pod.metadata.labels))
        assert.equal(found.length, 1)
        const containers = found[0]?.spec.containers ?? []
        return containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name))
      }
      for (const service of ofKind(objects, 'Service')) {
        const ports = portsOf(service.spec.selector)
        for (const { targetPort } of service.spec.ports) assert.ok(ports.includes(targetPort))
      }
      for (const networkPolicy of ofKind(objects, 'NetworkPolicy')) {
        const { podSelector, ingress = [] } = networkPolicy.spec
        const ports = portsOf(podSelector.matchLabels)
        for (const rule of ingress)
          for (const { port } of rule.ports) assert.ok(ports.includes(port))
      }
      for (const object of ofKind(objects, 'PodDisruptionBudget')) {
        portsOf(object.spec.selector.matchLabels)
      }
    }))

  test('refer to objects that are there, or that the values named', (t) =>
    forEach(t, (objects) => {
      const given = ['login', 'registry-tls', 'docker-hub', 'certificate', 'authority']
      const made = ofKind(objects, 'Certificate').map((object) => object.spec.secretName)
      for (const { pod } of podsOf(objects)) {
        const { volumes = [], serviceAccountName } = pod.spec
        for (const { secret } of volumes) {
          const name = secret?.secretName
          if (name === undefined || given.includes(name) || made.includes(name)) continue
          assert.ok(findNamed(objects, 'Secret', name), name)
        }
        assert.ok(findNamed(objects, 'ServiceAccount', serviceAccountName), serviceAccountName)
      }
      for (const object of ofKind(objects, 'Ingress', 'HTTPRoute')) {
        const text = JSON.stringify(object.spec)
        assert.match(text, /"name":"trow"/)
        assert.match(text, /"host(?:names)?":\[?"registry\.example\.com"/)
        assert.doesNotMatch(text, /"(?:path|value)":"\/"/)
      }
    }))

  test('run as 333333 with no right that they can do without', (t) =>
    forEach(t, (objects) => {
      for (const { object, pod } of podsOf(objects)) {
        if (object.kind === 'DaemonSet') continue
        const { runAsNonRoot, runAsUser, runAsGroup, fsGroup, seccompProfile } =
          pod.spec.securityContext
        assert.deepEqual([runAsUser, runAsGroup, fsGroup], [333333, 333333, 333333])
        assert.deepEqual([runAsNonRoot, seccompProfile?.type], [true, 'RuntimeDefault'])
        for (const container of pod.spec.containers) {
          const { readOnlyRootFilesystem, allowPrivilegeEscalation, capabilities } =
            container.securityContext
          assert.deepEqual([readOnlyRootFilesystem, allowPrivilegeEscalation], [true, false])
          assert.deepEqual(capabilities?.drop, ['ALL'])
        }
        const speaksToApi = ofKind(objects, 'ClusterRole').some(
          ({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'webhook',
        )
        const isWebhook = object.metadata.name === 'trow-webhook'
        assert.equal(pod.spec.automountServiceAccountToken, isWebhook && speaksToApi)
      }
    }))

  test('have probes, requests, a limit of memory and the one image', (t) =>
    forEach(t, (objects) => {
      for (const { object, pod } of podsOf(objects)) {
        for (const container of pod.spec.containers) {
          assert.match(container.image, /^ghcr\.io\/trow-registry\/trow:/)
          assert.ok(container.resources.requests.cpu)
          assert.ok(container.resources.limits.memory)
          if (object.kind !== 'DaemonSet') {
            const { startupProbe, livenessProbe, readinessProbe } = container
            assert.ok(startupProbe && livenessProbe && readinessProbe)
          }
          // A file that is mounted by itself is not replaced when the Secret changes.
          assert.ok(container.volumeMounts.every((mount) => mount.subPath === undefined))
        }
      }
    }))

  test('give Trow a configuration that it takes, and each component no more than it needs', (t) =>
    forEach(t, (objects) => {
      const secrets = ofKind(objects, 'Secret').filter((object) => object.data?.['config.yaml'])
      assert.ok(secrets.length >= 1)
      for (const secret of secrets) {
        const config = parse(decodeSecret(secret, 'config.yaml')) as object
        const { error } = configSchema.safeParse(config)
        assert.equal(error?.message, undefined)
      }
      const webhook = decodeSecret(
        findNamed(objects, 'Secret', 'trow-webhook-config'),
        'config.yaml',
      )
      assert.doesNotMatch(webhook, /auth|username|password|docker_config/)
    }))

  test('let every node be drained, and keep webhooks apart', (t) =>
    forEach(t, (objects) => {
      const deployment = findNamed(objects, 'Deployment', 'trow-webhook')
      const budget = findNamed(objects, 'PodDisruptionBudget', 'trow-webhook')
      const replicas = deployment?.spec.replicas
      assert.equal(budget !== undefined, deployment !== undefined && replicas !== 1)
      if (budget) assert.equal(budget.spec.maxUnavailable, 1)
      if (deployment === undefined) return
      const { topologySpreadConstraints, affinity } = deployment.spec.template.spec
      assert.equal(topologySpreadConstraints?.length, 2)
      assert.ok(affinity?.podAntiAffinity)
    }))
})

describe('nodes', () => {
  test('are changed in one directory, by what can do nothing else', (t) =>
    forEach(t, (objects) => {
      const set = findNamed(objects, 'DaemonSet', 'trow-nodes')
      if (set === undefined) return
      const { spec } = set.spec.template
      const [container] = spec.containers
      const paths = (spec.volumes ?? []).map(({ hostPath }) => hostPath?.path)
      const runtime = container.args.includes('--runtime=k3s') ? 'k3s' : 'containerd'
      assert.equal(paths[0], runtime === 'k3s' ? '/etc/rancher/k3s' : '/etc/containerd')
      for (const mount of container.volumeMounts) {
        assert.equal(mount.readOnly ?? false, mount.name !== 'runtime')
      }
      const { privileged, allowPrivilegeEscalation, capabilities } = container.securityContext
      assert.deepEqual([privileged, allowPrivilegeEscalation], [undefined, false])
      assert.deepEqual(capabilities?.drop, ['ALL'])
      assert.deepEqual([spec.hostNetwork, spec.hostPID], [undefined, undefined])
      assert.ok(container.args.includes('--uninstall-on-exit'))
      assert.ok(!container.args.includes('--no-fallback'))
    }))

  test('are told of the registry by the way that there is', (t) =>
    forEach(t, (objects) => {
      const set = findNamed(objects, 'DaemonSet', 'trow-nodes')
      if (set === undefined) return
      const args = set.spec.template.spec.containers[0].args as string[]
      const [mirror] = args.filter((arg) => arg.startsWith('--mirror='))
      const isSecure = JSON.stringify(findNamed(objects, 'StatefulSet', 'trow')).includes('--tls=')
      const ways = [
        'https://registry.example.com',
        // Kubernetes makes one dollar of two, and leaves the rest to Trow.
        `http${isSecure ? 's' : ''}://$$(HOST_IP):30500`,
      ]
      assert.ok(ways.includes(mirror?.replace('--mirror=', '') ?? ''))
    }))
})

describe('the webhook', () => {
  test('is asked about all that can start an image, but not about what Trow itself needs', (t) =>
    forEach(t, (objects) => {
      const [configuration] = ofKind(objects, 'ValidatingWebhookConfiguration')
      if (configuration === undefined) return
      const [hook] = configuration.webhooks
      assert.equal(hook.name, 'validator.trow.io')
      assert.equal(hook.failurePolicy, 'Fail')
      const [excluded] = hook.namespaceSelector.matchExpressions
      assert.deepEqual(excluded, {
        key: 'kubernetes.io/metadata.name',
        operator: 'NotIn',
        values: [
          'kube-system',
          'trow',
          ...(findNamed(objects, 'DaemonSet', 'trow-nodes') ? ['trow-nodes'] : []),
        ],
      })
      const [pods] = hook.rules
      assert.deepEqual(pods?.operations, ['CREATE', 'UPDATE'])
      assert.deepEqual(pods?.resources, ['pods', 'pods/ephemeralcontainers'])
    }))

  test('is reached by the name that its certificate is for', (t) =>
    forEach(t, (objects) => {
      for (const configuration of ofKind(
        objects,
        'ValidatingWebhookConfiguration',
        'MutatingWebhookConfiguration',
      )) {
        const [{ clientConfig }] = configuration.webhooks
        const service = findNamed(objects, 'Service', clientConfig.service.name)
        assert.ok(service?.spec.ports.some(({ port }: { port: number }) => port === 443))
        const from = (configuration.metadata as { annotations?: Record<string, string> })
          .annotations
        const certificate = findNamed(objects, 'Certificate', 'trow-webhook')
        assert.equal(from?.['cert-manager.io/inject-ca-from'], certificate && 'trow/trow-webhook')
        if (certificate) {
          assert.ok(certificate.spec.dnsNames?.includes(`${clientConfig.service.name}.trow.svc`))
        }
      }
    }))

  test('can be on the network of its nodes, where an upgrade must not wait for a free port', async (t) => {
    if (requireTool(t, 'helm-4') === undefined) return
    const validationWebhook = { enabled: true, config: { default: 'Deny' } }
    const render = async (webhooks: Values) => {
      const { stdout } = await renderChart({ trow: { validationWebhook }, webhooks })
      return findNamed(parseManifests(stdout), 'Deployment', 'trow-webhook')?.spec
    }
    const usual = await render({})
    const onHost = await render({ hostNetwork: true })
    assert.equal(usual?.template.spec.hostNetwork, undefined)
    assert.deepEqual(usual?.strategy?.rollingUpdate, { maxUnavailable: 0, maxSurge: 1 })
    assert.equal(onHost?.template.spec.hostNetwork, true)
    assert.equal(onHost?.template.spec.dnsPolicy, 'ClusterFirstWithHostNet')
    assert.deepEqual(onHost?.strategy?.rollingUpdate, { maxUnavailable: 1, maxSurge: 0 })
  })

  test('may read and change one Secret and its configurations, and nothing else', (t) =>
    forEach(t, (objects) => {
      const rules = ofKind(objects, 'Role', 'ClusterRole')
        .filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'] === 'webhook')
        .flatMap((role) => role.rules)
      for (const rule of rules) {
        assert.deepEqual(rule.resourceNames?.length, 1)
        assert.doesNotMatch(rule.verbs.join(), /\*|create|delete/)
      }
    }))

  test('has the failure policy of the values, and namespaces that stay excluded', async (t) => {
    if (requireTool(t, 'helm-4') === undefined) return
    const { stdout, stderr } = await renderChart({
      trow: {
        validationWebhook: {
          enabled: true,
          failurePolicy: 'Ignore',
          config: { default: 'Deny', validate_workloads: false },
        },
      },
      webhooks: {
        excludedNamespaces: ['kube-system', 'calico-system'],
        namespaceSelector: {
          matchLabels: { judged: 'yes' },
          matchExpressions: [{ key: 'tier', operator: 'Exists' }],
        },
        matchConditions: [{ name: 'x', expression: 'true' }],
      },
    })
    const objects = parseManifests(stdout)
    const [configuration] = ofKind(objects, 'ValidatingWebhookConfiguration')
    assert.ok(configuration, stderr)
    const [hook] = configuration.webhooks
    assert.equal(hook.failurePolicy, 'Ignore')
    assert.deepEqual(hook.namespaceSelector.matchLabels, { judged: 'yes' })
    const [excluded, tier] = hook.namespaceSelector.matchExpressions
    assert.deepEqual(excluded?.values, ['calico-system', 'kube-system', 'trow'])
    assert.equal(tier?.key, 'tier')
    assert.equal(hook.rules.length, 1, 'an unquoted `off` asks about no workloads')
    const config = decodeSecret(findNamed(objects, 'Secret', 'trow-webhook-config'), 'config.yaml')
    assert.equal(parse(config).image_validation.validate_workloads, 'off')
  })
})

const withWebhook = (config: object): Values => ({
  trow: { validationWebhook: { enabled: true, config: { default: 'Deny', ...config } } },
  nodeConfiguration: { enabled: true },
})

test('releases side by side have nothing in common', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const places = [
    { release: 'trow', namespace: 'trow' },
    { release: 'trow', namespace: 'team' },
    { release: 'second', namespace: 'team' },
  ]
  const all: string[] = []
  for (const place of places) {
    const { stdout, stderr } = await renderChart(withWebhook({}), place)
    const objects = parseManifests(stdout)
    assert.ok(objects.length > 10, stderr)
    all.push(
      ...objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace} ${metadata.name}`),
      ...podsOf(objects).map(({ pod }) => JSON.stringify([place.namespace, pod.metadata.labels])),
    )
  }
  assert.equal(new Set(all).size, all.length)
})

test('what Trow cannot change while it runs is an argument, so that it is restarted', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const byChart = ['admission', 'bind', 'data_dir']
  const settings = Object.entries(configSchema.shape).filter(
    ([name, field]) => !byChart.includes(name) && (field.meta() as KeyFacts | undefined)?.restart,
  )
  assert.deepEqual(
    settings.map(([name]) => name),
    ['log_format'],
  )
  const { stdout } = await renderChart({ trow: { config: { log_format: 'pretty' } } })
  assert.match(stdout, /--log-format=pretty/)
})

test('a new policy, login or setting restarts nothing', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const render = async (password: string, logLevel: string, config: object) => {
    const validationWebhook = { enabled: true, config: { default: 'Deny', ...config } }
    const trow = { user: 'ann', password, logLevel, validationWebhook }
    const { stdout } = await renderChart({ trow, nodeConfiguration: { enabled: true } })
    return { stdout, pods: podsOf(parseManifests(stdout)).map(({ pod }) => pod) }
  }
  const before = await render('one', 'info', {})
  const after = await render('two', 'debug', { allow: ['registry.k8s.io/'], mode: 'warn' })
  assert.equal(before.pods.length, 3)
  assert.deepEqual(after.pods, before.pods)
  assert.notEqual(after.stdout, before.stdout)
})

test('pods that may speak to few can ask for names, also in OpenShift', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const { stdout } = await renderChart({
    networkPolicy: { egress: { enabled: true, ports: [443] } },
  })
  const [{ spec } = assert.fail()] = ofKind(parseManifests(stdout), 'NetworkPolicy')
  const ports = spec.egress?.flatMap((rule) => rule.ports.map(({ port }) => port))
  assert.deepEqual(ports, [53, 53, 5353, 5353, 443])
})

test('a cluster of Kubernetes 1.26 is given no field that it does not know', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const old = await renderChart(withWebhook({}), { kubernetes: '1.26.0' })
  assert.equal(old.code, 0, old.stderr)
  const newer = /\bsleep:|unhealthyPodEvictionPolicy|matchConditions/
  assert.doesNotMatch(old.stdout, newer)
  assert.match((await renderChart(withWebhook({}))).stdout, newer)
  const older = await renderChart({}, { kubernetes: '1.25.0' })
  assert.match(older.stderr, /requires kubeVersion: >=1\.26/)
})

test('OpenShift can choose user and groups', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const { stdout, stderr } = await renderChart({
    podSecurityContext: { runAsUser: null, runAsGroup: null, fsGroup: null },
  })
  assert.deepEqual(
    Object.keys(podsOf(parseManifests(stdout))[0]?.pod.spec.securityContext ?? {}).toSorted(),
    ['fsGroupChangePolicy', 'runAsNonRoot', 'seccompProfile'],
    stderr,
  )
  const none = await renderChart({ podSecurityContext: null, containerSecurityContext: null })
  assert.doesNotMatch(none.stdout, /securityContext/)
})

test('the plain manifests are those of the chart', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const texts: string[] = []
  for (const { values } of plainManifests) texts.push((await renderChart({ ...values })).stdout)
  for (const [file, text] of formatPlainManifests(texts)) {
    const path = join(import.meta.dirname, '../../deploy', file)
    assert.equal(await readFile(path, 'utf8'), text, `${file}: run \`npm run chart\``)
  }
})

/** What kube-score wants and this chart does not do, each for a reason. */
const otherwise = [
  // A tag of a release is never pushed again, and a restart must not need a registry.
  'container-image-pull-policy',
  // Nothing is written but to the volume: the root file system is read-only.
  'container-ephemeral-storage-request-and-limit',
  // Nobody looks up the name of a single pod.
  'statefulset-has-servicename',
  // Nodes have no other way in than a port of their own.
  'service-type',
]

test('kube-score has nothing to say', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const kubeScore = requireTool(t, 'kube-score')
  if (kubeScore === undefined) return
  // Of those with the rules for the network that it wants.
  const judged = rendered.filter(({ name }) => name.includes('with everything'))
  assert.ok(judged.length > 1)
  for (const { name, text } of judged) {
    const flags = [
      '--kubernetes-version=v1.36',
      '--output-format=ci',
      '--ignore-container-cpu-limit',
    ]
    const { stdout } = await runTool(
      kubeScore,
      ['score', ...flags, ...otherwise.flatMap((check) => ['--ignore-test', check]), '-'],
      { input: text },
    )
    assert.match(stdout, /^\[OK\]/m)
    const complaints = stdout
      .split('\n')
      .filter((line) => /^\[(?:CRITICAL|WARNING)\]/.test(line))
      // The files of a node belong to root.
      .filter((line) => !/DaemonSet.*low (?:user|group) ID/.test(line))
    assert.deepEqual(complaints, [], name)
  }
})

interface LinterReport {
  readonly Check: string
  readonly Object: { readonly K8sObject: { readonly GroupVersionKind: { readonly Kind: string } } }
}

test('kube-linter says only that the files of a node belong to root', async (t) => {
  if (requireTool(t, 'helm-4') === undefined) return
  const kubeLinter = requireTool(t, 'kube-linter')
  if (kubeLinter === undefined) return
  for (const { name, text, objects } of rendered) {
    const flags = ['lint', '--format=json', '-']
    const { stdout } = await runTool(kubeLinter, flags, { input: text })
    const { Reports } = JSON.parse(stdout) as { Reports: LinterReport[] | null }
    const complaints = (Reports ?? []).map(
      (report) => `${report.Check} ${report.Object.K8sObject.GroupVersionKind.Kind}`,
    )
    const hasNodes = ofKind(objects, 'DaemonSet').length > 0
    assert.deepEqual(complaints, hasNodes ? ['run-as-non-root DaemonSet'] : [], name)
  }
})

async function dashboardExpressions(): Promise<string[]> {
  const text = await readFile(join(chartDirectory, 'files/dashboard.json'), 'utf8')
  const { panels } = JSON.parse(text) as { panels: { targets: { expr: string }[] }[] }
  return panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
}

describe('monitoring', () => {
  test('reads the metrics of each pod once', (t) =>
    forEach(t, (objects) => {
      for (const { spec } of ofKind(objects, 'ServiceMonitor')) {
        const { matchLabels, matchExpressions } = spec.selector
        const [{ key, values }] = matchExpressions
        const services = ofKind(objects, 'Service').filter(
          ({ metadata: { labels = {} } }) =>
            selects(matchLabels, labels) && values.includes(labels[key] ?? ''),
        )
        const read = services.flatMap((service) =>
          service.spec.ports
            .filter((port) => spec.endpoints.some((end) => end.targetPort === port.targetPort))
            .map(() => String(service.spec.selector['app.kubernetes.io/component'])),
        )
        const hasWebhook = findNamed(objects, 'Deployment', 'trow-webhook') !== undefined
        assert.deepEqual(read.toSorted(), hasWebhook ? ['registry', 'webhook'] : ['registry'])
      }
    }))

  const findAlerts = () =>
    rendered.flatMap(({ objects }) => ofKind(objects, 'PrometheusRule')).at(-1)?.spec.groups

  test('promtool takes the expressions of alerts and dashboard', async (t) => {
    if (requireTool(t, 'helm-4') === undefined) return
    const promtool = requireTool(t, 'promtool')
    if (promtool === undefined) return
    const records = (await dashboardExpressions()).map((expr, index) => ({
      record: `panel:${index}`,
      expr: expr.replaceAll('$__rate_interval', '5m'),
    }))
    await using directory = await temporaryDirectory()
    const file = join(directory.path, 'rules.json')
    await writeFile(
      file,
      JSON.stringify({ groups: [...(findAlerts() ?? []), { name: 'panels', rules: records }] }),
    )
    const { code, stdout, stderr } = await runTool(promtool, ['check', 'rules', file])
    assert.equal(code, 0, `${stdout}${stderr}`)
  })

  test('there is an alert on all that the documentation wants one on', async (t) => {
    if (requireTool(t, 'helm-4') === undefined) return
    const operations = join(import.meta.dirname, '../../docs/operations.md')
    const [, rest = ''] = (await readFile(operations, 'utf8')).split('\nWhat to alert on')
    const [table = ''] = rest.split('\n## ')
    const advised = table.match(/\b(?:trow|nodejs)_\w+/g) ?? []
    assert.ok(advised.length > 10)
    const expressions = (findAlerts()?.[0].rules ?? []).map(({ expr }) => expr).join('\n')
    assert.deepEqual(
      advised.filter((metric) => !expressions.includes(metric)),
      [],
    )
  })

  test('alerts and dashboard speak of metrics that there are', async (t) => {
    if (requireTool(t, 'helm-4') === undefined) return
    const operations = join(import.meta.dirname, '../../docs/operations.md')
    const documented = [...(await readFile(operations, 'utf8')).matchAll(/^\| `(trow_\w+)`/gm)]
    const registry = new Registry()
    collectDefaultMetrics({ register: registry })
    const known = [
      ...documented.map(([, name]) => name),
      ...registry.getMetricsAsArray().map(({ name }) => name),
    ]
    const rules = findAlerts()?.[0].rules ?? []
    const dashboard = await readFile(join(chartDirectory, 'files/dashboard.json'), 'utf8')
    const panels = (JSON.parse(dashboard) as { panels: { targets: { expr: string }[] }[] }).panels
    const expressions = [...rules, ...panels.flatMap(({ targets }) => targets)]
    const used = expressions.flatMap(
      ({ expr }) => expr.match(/\b(?:trow|nodejs|process)_\w+/g) ?? [],
    )
    assert.ok(new Set(used).size > 10)
    const unknown = used.filter(
      (name) => !known.includes(name.replace(/_(?:bucket|sum|count)$/, '')),
    )
    assert.deepEqual(unknown, [])
  })
})
