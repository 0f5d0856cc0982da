// The webhooks on a listener of their own: beside the registry and without one, with a certificate from
// files that is replaced while it is asked, and what is said where they cannot be served.

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { acceptAnswer, podReview } from '../support/admission.ts'
import { issueCertificate } from '../support/certificate.ts'
import { send } from '../support/http-client.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { runTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const names = ['127.0.0.1', 'trow.trow.svc']
const validation = { default: 'Deny', allow: ['quay.io/team/'] }
const json = { 'content-type': 'application/json' }

interface Files {
  readonly cert: string
  readonly key: string
}

async function filesIn(directory: string, certificate: { cert: string; key: string }) {
  const files = { cert: join(directory, 'webhook.crt'), key: join(directory, 'webhook.key') }
  await writeFile(files.cert, certificate.cert)
  await writeFile(files.key, certificate.key)
  return files
}

function configOf(tls: Files, more: object = {}): string {
  return JSON.stringify({
    image_validation: validation,
    admission: { bind: '127.0.0.1:0', tls },
    ...more,
  })
}

/** Where the webhooks are. */
async function addressOf(registry: Registry): Promise<string> {
  const line = await registry.logged(({ msg }) => msg === 'the webhooks are served')
  return String(line['address'])
}

async function isAllowed(address: string, ca: string, image: string): Promise<boolean> {
  const sent = podReview([image])
  const reply = await send(
    'POST',
    new URL('/validate-image', address),
    { headers: json, body: JSON.stringify(sent) },
    { ca, agent: false },
  )
  assert.equal(reply.status, 200, reply.body.toString())
  return acceptAnswer(sent, reply.json()).allowed
}

for (const command of ['serve', 'webhook'] as const) {
  test(`trow ${command} answers reviews there, and nothing of a registry`, async () => {
    await using directory = await temporaryDirectory()
    const certificate = issueCertificate(names)
    const config = configOf(await filesIn(directory.path, certificate))
    await using registry = await startRegistry({ command, config })
    const address = await addressOf(registry)
    assert.match(address, /^https:/)
    assert.equal(await isAllowed(address, certificate.ca, 'quay.io/team/app'), true)
    assert.equal(await isAllowed(address, certificate.ca, 'nginx'), false)
    const statusOf = async (base: string, path: string): Promise<number> =>
      (await send('GET', new URL(path, base), {}, { ca: certificate.ca, agent: false })).status
    assert.equal(await statusOf(address, '/readiness'), 200)
    assert.equal(await statusOf(address, '/v2/'), 404)
    assert.equal(await statusOf(address, '/metrics'), 404)
    assert.equal(await statusOf(registry.url, '/healthz'), 200)
    assert.equal(await statusOf(registry.url, '/readiness'), 200)
    assert.equal(await statusOf(registry.url, '/v2/'), command === 'serve' ? 200 : 404)
    const metrics = (await registry.request('GET', '/metrics')).body.toString()
    const notAfter = new X509Certificate(certificate.cert).validToDate.getTime() / 1000
    const shown = `trow_webhook_certificate_not_after_timestamp_seconds ${notAfter}`
    assert.ok(metrics.includes(shown), metrics)
    assert.match(metrics, /trow_admission_reviews_total\{decision="denied".*\} 1/)
  })
}

test('a certificate is replaced while reviews come, and none of them fails', async () => {
  await using directory = await temporaryDirectory()
  const first = issueCertificate(names)
  const second = issueCertificate(names)
  const config = configOf(await filesIn(directory.path, first))
  await using registry = await startRegistry({ command: 'webhook', config })
  const address = await addressOf(registry)
  const both = first.ca + second.ca
  const state = { isDone: false, reviews: 0 }
  const asking = (async () => {
    while (!state.isDone) {
      assert.equal(await isAllowed(address, both, 'quay.io/team/app'), true)
      state.reviews += 1
    }
  })()
  const before = registry.logLength
  await filesIn(directory.path, second)
  registry.signal('SIGHUP')
  await registry.logged(({ msg }) => msg === 'configuration reloaded', before)
  assert.equal(await isAllowed(address, second.ca, 'quay.io/team/app'), true)
  await assert.rejects(isAllowed(address, first.ca, 'quay.io/team/app'))
  state.isDone = true
  await asking
  assert.ok(state.reviews > 0)
})

test('a broken policy is reported, and the one before goes on, without a registry too', async () => {
  await using directory = await temporaryDirectory()
  const certificate = issueCertificate(names)
  const files = await filesIn(directory.path, certificate)
  await using registry = await startRegistry({ command: 'webhook', config: configOf(files) })
  const address = await addressOf(registry)
  const reload = async (text: string, message: string): Promise<void> => {
    const before = registry.logLength
    await writeFile(registry.configFile, text)
    registry.signal('SIGHUP')
    await registry.logged(({ msg }) => msg === message, before)
  }
  await reload(
    '{"image_validation": {"defualt": "Allow"}}',
    'configuration not reloaded, the previous one stays in force',
  )
  assert.equal(await isAllowed(address, certificate.ca, 'nginx'), false)
  const allowing = { image_validation: { default: 'Allow', allow: [] } }
  await reload(configOf(files, allowing), 'configuration reloaded')
  assert.equal(await isAllowed(address, certificate.ca, 'nginx'), true)
})

const refusals: readonly [string, string[], RegExp][] = [
  [
    'trow webhook without a certificate',
    ['webhook', '--bind', '127.0.0.1:0'],
    /asks webhooks over HTTPS only: set admission\.tls .* or admission\.self_managed/,
  ],
  [
    'an address without a certificate',
    ['serve', '--admission-bind', '127.0.0.1:0'],
    /--admission-bind: webhooks are asked over HTTPS only: set a certificate too/,
  ],
  [
    'files that are not there',
    ['webhook', '--admission-tls', 'a.crt,a.key'],
    /--admission-tls: the file a\.crt does not exist/,
  ],
]

for (const [what, args, message] of refusals) {
  test(`${what} is an error that says what to do`, async () => {
    const { code, stderr } = await runTrow(args)
    assert.notEqual(code, 0)
    assert.match(stderr, message)
  })
}

test('certificates of its own are for a cluster, and it says so elsewhere', async () => {
  await using directory = await temporaryDirectory()
  const file = join(directory.path, 'trow.yaml')
  const admission = { self_managed: { dns_names: 'trow.trow.svc', namespace: 'trow' } }
  await writeFile(file, JSON.stringify({ admission }))
  const args = ['webhook', '--bind', '127.0.0.1:0', '-c', file]
  const { code, stderr } = await runTrow(args)
  assert.notEqual(code, 0)
  assert.match(stderr, /admission\.self_managed needs the Kubernetes API, and this is no pod/)
})

test('images of pods are pinned to what the registry has, by the mutating webhook', async () => {
  await using registry = await startRegistry({
    config: JSON.stringify({
      hostname: 'trow.example.com',
      registry_proxies: { registries: [{ host: 'docker.io' }], offline: true },
      image_mutation: { pin_digests: true },
    }),
  })
  const image = imageFixture({ layers: 1 })
  await registry.push('team/app', 'v1', image)
  const sent = podReview(['trow.example.com/team/app:v1', 'nginx:1', 'quay.io/x:1'])
  const options = { headers: json, body: JSON.stringify(sent) }
  const reply = await registry.request('POST', '/mutate-image?timeout=5s', options)
  const { response } = reply.json() as {
    response: {
      uid: string
      allowed: boolean
      patchType: string
      patch: string
      warnings: string[]
    }
  }
  assert.deepEqual([response.uid, response.allowed], [sent.request.uid, true])
  assert.equal(response.patchType, 'JSONPatch')
  const patch = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as { op: string }[]
  const path = (index: number): string => `/spec/containers/${index}/image`
  assert.deepEqual(patch, [
    { op: 'test', path: path(0), value: 'trow.example.com/team/app:v1' },
    { op: 'test', path: path(1), value: 'nginx:1' },
    {
      op: 'replace',
      path: path(0),
      value: `trow.example.com/team/app:v1@${image.root.digest}`,
    },
    { op: 'replace', path: path(1), value: 'trow.example.com/f/docker.io/library/nginx:1' },
  ])
  assert.match(response.warnings[0] ?? '', /containers\[1\]\.image: .*nginx:1 was not pinned/)
})
