// The exported ValidatingAdmissionPolicy in a real API server: it decides on every image of a table as the
// webhook's own code does, in every namespace that has rules of its own.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeCelPolicy } from '../../src/admission/cel-policy.ts'
import { Policy } from '../../src/admission/policy.ts'
import { type PolicyChoice, policySettings } from '../support/admission.ts'
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { requireTool } from '../support/tools.ts'
import { until } from '../support/until.ts'

const digest = `sha256:${'a'.repeat(64)}`
const registration = '/apis/admissionregistration.k8s.io/v1'

const hosts = ['', 'docker.io/', 'Quay.io/', 'quay.io:443/', 'quay.io:8080/', 'quay.io.evil.com/']
const others = [
  'registry.example.com:5000/',
  'a.b.example.com/',
  '127.0.0.1:31000/',
  'trow.example.com/',
]
const repositories = [
  'nginx',
  'team/app',
  'team/app-evil',
  'team/secret/deep',
  'f/quay.io/team/app',
]
const references = ['', ':1.2', ':1.25', `@${digest}`, `:1.2@${digest}`]

const images = [...hosts, ...others].flatMap((host) =>
  repositories.flatMap((repository) =>
    references.map((reference) => `${host}${repository}${reference}`),
  ),
)

const choices: Readonly<Record<string, PolicyChoice>> = {
  denying: {
    allow: [
      'docker.io/library/',
      'quay.io/team/app',
      '127.0.0.1',
      '**:1.25',
      'registry.example.com:5000/',
    ],
    deny: ['quay.io/team/app-', 'quay.io/team/secret', '**/deep'],
    namespaces: [{ names: ['careful'], requireDigest: true, inherit: false, allow: ['quay.io'] }],
  },
  allowing: {
    default: 'Allow',
    allow: ['quay.io/team/app:1.2', 'docker.io/library/nginx'],
    deny: ['nginx', 'quay.io', '*.example.com'],
  },
}

/** Refused by both policies, and taken without one. */
const probe = 'quay.io/team/secret:1'

async function outcome(cluster: Kubernetes, namespace: string, image: string): Promise<boolean> {
  const spec = { containers: [{ name: 'c', image }] }
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, spec }
  const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`
  const { status } = await cluster.request('POST', path, { body })
  assert.ok(status === 201 || status === 403 || status === 422, `${status} for ${image}`)
  return status === 201
}

test('an exported policy decides as the webhook does', async (t) => {
  if (!requireTool(t, 'kube-apiserver') || !requireTool(t, 'etcd')) return
  await using directory = await temporaryDirectory()
  await using cluster = await startKubernetes({ directory: directory.path })
  await cluster.create('/api/v1/namespaces', { metadata: { name: 'careful' } })
  let compared = 0
  let allowed = 0
  for (const [name, choice] of Object.entries(choices)) {
    const settings = policySettings(choice)
    const policy = new Policy(settings, ['trow.example.com'])
    const [exported, binding] = makeCelPolicy(settings, name)
    await cluster.create(`${registration}/validatingadmissionpolicies`, exported)
    await cluster.create(`${registration}/validatingadmissionpolicybindings`, binding)
    await until('the policy is in force', async () => !(await outcome(cluster, 'default', probe)))
    for (const namespace of ['default', 'careful']) {
      for (const image of images) {
        const judged = policy.judge(image, policy.findScope(namespace)).isAllowed
        const isAllowed = await outcome(cluster, namespace, image)
        // Documented: paths of the cache need a rule that speaks of them, so the export may refuse more.
        if (judged !== isAllowed && judged && /(?:^|\/)f\//.test(image)) continue
        assert.equal(isAllowed, judged, `${image} in ${namespace} by ${name}`)
        compared += 1
        allowed += isAllowed ? 1 : 0
      }
    }
    await cluster.request('DELETE', `${registration}/validatingadmissionpolicybindings/${name}`)
    await until('the policy is gone', () => outcome(cluster, 'default', probe))
    await cluster.request('DELETE', `${registration}/validatingadmissionpolicies/${name}`)
  }
  t.diagnostic(`${compared} decisions compared, ${allowed} of them allow`)
  assert.ok(allowed > compared / 10 && allowed < compared * 0.9)
})
