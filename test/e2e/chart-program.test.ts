// What the chart's pods run, run here: the program takes the arguments and files that the chart gives it,
// and each of them does what it is for.

import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import { renderChart, type Values } from '../support/helm.ts'
import {
  decodeSecret,
  findNamed,
  type KubernetesObject,
  parseManifests,
  podsOf,
  type Volume,
} from '../support/kubernetes-objects.ts'
import { runTrow, startTrow } from '../support/run-command.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { requireTool } from '../support/tools.ts'
import { until } from '../support/until.ts'

const certificate = issueCertificate(['trow-webhook.trow.svc'])

/** Secrets that values name, and the chart does not make. */
const given: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  login: { password: 'secret' },
  certificate: { 'tls.crt': certificate.cert, 'tls.key': certificate.key },
  authority: { 'ca.crt': certificate.ca },
  'docker-hub': {
    '.dockerconfigjson': JSON.stringify({
      auths: { 'docker.io': { auth: Buffer.from('ann:secret').toString('base64') } },
    }),
  },
}

/** A pod's file system below a directory, and its container's arguments for there. */
async function makePod(
  t: TestContext,
  { values, kind, directory }: { values: Values; kind: string; directory: string },
): Promise<string[] | undefined> {
  if (requireTool(t, 'helm-4') === undefined) return undefined
  const { code, stdout, stderr } = await renderChart(values)
  assert.equal(code, 0, stderr)
  const objects = parseManifests(stdout)
  const pod = podsOf(objects).find(({ object }) => object.kind === kind)?.pod
  assert.ok(pod)
  const [container] = pod.spec.containers
  const here = (text: string) =>
    text.replaceAll(/(^|[=,]|: )(\/(?:etc\/trow|data|host)\b)/g, `$1${directory}$2`)
  for (const volume of pod.spec.volumes ?? []) {
    const mount = container.volumeMounts.find(({ name }) => name === volume.name)
    for (const [file, text] of filesOf(volume, objects)) {
      const path = join(directory, mount?.mountPath ?? '', file)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, here(text))
    }
  }
  // As Kubernetes does: two dollars are one.
  return container.args.map((arg) => here(arg).replaceAll('$$', '$'))
}

function filesOf({ secret }: Volume, objects: readonly KubernetesObject[]): [string, string][] {
  if (secret === undefined) return []
  const made = findNamed(objects, 'Secret', secret.secretName)
  const data = Object.keys(made?.data ?? {}).map((key) => [key, decodeSecret(made, key)] as const)
  const content = given[secret.secretName] ?? Object.fromEntries(data)
  const items = secret.items ?? Object.keys(content).map((key) => ({ key, path: key }))
  return items.map(({ key, path }) => [path, content[key] ?? ''])
}

describe('the registry', () => {
  test('starts with the logins, certificate and limits of the values', async (t) => {
    await using directory = await temporaryDirectory()
    const args = await makePod(t, {
      kind: 'StatefulSet',
      directory: directory.path,
      values: {
        trow: {
          domain: 'registry.example.com',
          user: 'ann',
          existingSecret: { name: 'login' },
          anonymousPull: true,
          tls: { existingSecret: 'certificate' },
          secrets: ['docker-hub'],
          config: { uploads: { idle_timeout: '2h' } },
          proxyRegistries: {
            config: {
              max_size: '50GB',
              registries: [
                {
                  host: 'docker.io',
                  docker_config_file: '/etc/trow/secrets/docker-hub/.dockerconfigjson',
                },
              ],
            },
          },
          validationWebhook: { config: { default: 'Deny', enforce_at_pull: true } },
        },
      },
    })
    if (args === undefined) return
    const { code, stdout, stderr } = await runTrow([...args, '--dry-run'])
    assert.equal(code, 0, stderr)
    assert.match(stdout, /"registry\.example\.com" \(also: "trow\.trow\.svc\.cluster\.local:8000"/)
    assert.match(stdout, /Default action: Deny/)
    assert.match(stdout, /docker\.io/)
  })
})

test('the webhook starts with a certificate from a Secret', async (t) => {
  await using directory = await temporaryDirectory()
  const args = await makePod(t, {
    kind: 'Deployment',
    directory: directory.path,
    values: {
      trow: {
        domain: 'registry.example.com',
        bind: '127.0.0.1',
        validationWebhook: { enabled: true, config: { default: 'Deny', mode: 'audit' } },
        mutationWebhook: { enabled: true },
        proxyRegistries: { config: { registries: [{ host: 'docker.io' }] } },
      },
      webhooks: {
        tls: {
          mode: 'existingSecret',
          existingSecret: { name: 'certificate', caBundle: certificate.ca },
        },
      },
    },
  })
  if (args === undefined) return
  const { code, stdout, stderr } = await runTrow([...args, '--dry-run'])
  assert.equal(code, 0, stderr)
  assert.match(stdout, /Default action: Deny/)
})

describe('nodes', () => {
  const runtimes = [
    {
      runtime: 'containerd',
      file: '/host/etc/containerd/certs.d/_default/hosts.toml',
      address: 'fd00::1',
      mirror: '[fd00::1]:30500',
    },
    {
      // Its files hold no IPv6 address.
      runtime: 'crio',
      file: '/host/etc/containers/registries.conf.d/trow.conf',
      address: '10.0.0.1',
      mirror: '10.0.0.1:30500',
    },
    {
      runtime: 'k3s',
      file: '/host/etc/rancher/k3s/registries.yaml',
      address: 'fd00::1',
      mirror: '[fd00::1]:30500',
    },
  ]
  for (const { runtime, file, address, mirror } of runtimes) {
    test(`with ${runtime} are configured, and are as before when the pod is stopped`, async (t) => {
      await using directory = await temporaryDirectory()
      const args = await makePod(t, {
        kind: 'DaemonSet',
        directory: directory.path,
        values: { nodeConfiguration: { enabled: true, runtime } },
      })
      if (args === undefined) return
      const host = join(directory.path, 'host')
      await mkdir(dirname(dirname(join(directory.path, file))), { recursive: true })
      const before = await readdir(host, { recursive: true })
      const running = startTrow(args, { environment: { HOST_IP: address } })
      try {
        const written = await until('the file is written', async () =>
          readFile(join(directory.path, file), 'utf8').catch(() => undefined),
        )
        assert.ok(written.includes(mirror), written)
      } finally {
        running.signal('SIGTERM')
      }
      const { code, stderr } = await running.result
      assert.equal(code, 0, stderr)
      assert.deepEqual(await readdir(host, { recursive: true }), before)
    })
  }
})
