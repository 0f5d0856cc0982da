/**
 * Private ECR registries under their own names, which a proxy leads to this machine: Trow logs in with
 * the AWS credentials that it finds, and says what is missing when it finds none.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import { directoryWith } from '../support/directory-with.ts'
import { amazonError, FakeEcr } from '../support/fake-ecr.ts'
import { FakeProxy } from '../support/fake-proxy.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { failing } from '../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { messageOf, proxyConfig } from '../support/pull-through.ts'
import { assertError } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const image = imageFixture({ layers: 2, layerBytes: 100_000 })
const host = '123456789012.dkr.ecr.eu-west-1.amazonaws.com'
const neighbour = '210987654321.dkr.ecr.eu-west-1.amazonaws.com'
const china = '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn'
const fips = '123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com'
const dualStack = '123456789012.dkr-ecr.eu-west-1.on.aws'
const hosts = [host, neighbour, china, fips, dualStack]
const certificate = issueCertificate(hosts)
const keys = { AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'aws-secret' }

interface Scene extends AsyncDisposable {
  readonly ecr: FakeEcr
  readonly api: FakeUpstream
  readonly upstream: FakeUpstream
  readonly registry: Registry
  manifest(host: string, tag?: string): ReturnType<Registry['request']>
}

async function startScene(
  t: TestContext,
  options: { environment?: Record<string, string>; entries?: readonly object[] } = {},
): Promise<Scene> {
  const directory = await directoryWith(t, { 'ca.crt': certificate.ca })
  const { environment = keys, entries = [] } = options
  await using started = new AsyncDisposableStack()
  const ecr = new FakeEcr()
  const api = started.use(await FakeUpstream.start()).use(ecr.api)
  const tls = { key: certificate.key, cert: certificate.cert }
  const upstream = started.use(await FakeUpstream.start({ tls })).use(ecr.registry)
  upstream.content.addImage('app', image, 'v1')
  const led = Object.fromEntries(hosts.map((name) => [`${name}:443`, upstream.host]))
  const proxy = started.use(await FakeProxy.start({ hosts: led }))
  const registry = started.use(
    await startRegistry({
      config: proxyConfig(entries),
      environment: {
        HOME: directory,
        HTTPS_PROXY: `http://${proxy.host}`,
        NODE_EXTRA_CA_CERTS: join(directory, 'ca.crt'),
        AWS_ENDPOINT_URL_ECR: api.origin,
        AWS_EC2_METADATA_DISABLED: 'true',
        ...environment,
      },
    }),
  )
  const stack = started.move()
  return {
    ecr,
    api,
    upstream,
    registry,
    manifest: (name, tag = 'v1') => registry.request('GET', `/v2/app/manifests/${tag}?ns=${name}`),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

describe('28. a private ECR registry', () => {
  test('is logged in to once, with AWS credentials, by many at the same time', async (t) => {
    await using scene = await startScene(t)
    const { registry, upstream, ecr } = scene
    const paths = image.blobs.map(({ digest }) => `/v2/app/blobs/${digest}?ns=${host}`)
    const replies = await Promise.all([
      scene.manifest(host),
      ...paths.map((path) => registry.request('GET', path)),
    ])
    for (const reply of replies) assert.equal(reply.status, 200, reply.body.toString())
    assert.deepEqual(ecr.regions, ['eu-west-1'])
    const sent = new Set(upstream.requests.map(({ headers }) => headers.authorization))
    const password = `Basic ${Buffer.from('AWS:password-1').toString('base64')}`
    assert.deepEqual([...sent].filter(Boolean), [password])
    assert.doesNotMatch(registry.output(), /password-1|aws-secret|QVdTOn/)
  })

  test('shares its login with its neighbours in the region, and with no others', async (t) => {
    await using scene = await startScene(t)
    for (const name of [...hosts, ...hosts]) {
      assert.equal((await scene.manifest(name)).status, 200, name)
    }
    const regions = ['eu-west-1', 'cn-north-1', 'us-gov-west-1', 'eu-west-1']
    assert.deepEqual(scene.ecr.regions, regions)
  })

  test('is logged in to by its entry, if that has a login', async (t) => {
    const entry = { host, username: 'AWS', password: 'password-9' }
    await using scene = await startScene(t, { entries: [entry, { host: neighbour }] })
    assert.equal((await scene.manifest(host)).status, 200)
    assert.deepEqual(scene.ecr.regions, [])
    assert.equal((await scene.manifest(neighbour)).status, 200)
    assert.deepEqual(scene.ecr.regions, ['eu-west-1'])
  })

  test('that does not let the login see something says what it needs', async (t) => {
    await using scene = await startScene(t)
    scene.upstream.use(failing(403, 'DENIED'), { on: /manifests/ }).use(scene.ecr.registry)
    const reply = await scene.manifest(host)
    assertError(reply, 404, 'MANIFEST_UNKNOWN')
    assert.match(messageOf(reply).message, /ecr:BatchGetImage/)
    // A password that is new is not to blame.
    await scene.manifest(host, 'v2')
    assert.equal(scene.ecr.regions.length, 1)
  })
})

describe('28. without AWS credentials', () => {
  test('what is missing is told soon, and all else goes on', async (t) => {
    await using scene = await startScene(t, { environment: {} })
    for (let time = 0; time < 7; time++) {
      const begin = performance.now()
      const reply = await scene.manifest(host)
      assertError(reply, 502, 'UNAVAILABLE')
      const { message } = messageOf(reply)
      assert.match(message, new RegExp(`${host}.*Could not load credentials.*IRSA.*password_file`))
      assert.ok(performance.now() - begin < 3000)
    }
    // It is its login that fails, not the registry.
    const states = await scene.registry.request('GET', '/metrics')
    assert.doesNotMatch(states.body.toString(), /^trow_upstream_suspended\{.*ecr.*\} 1$/m)
    assert.equal(scene.api.requests.length, 0)
  })

  test('that may log in, the refusal is passed on without what was signed', async (t) => {
    await using scene = await startScene(t)
    const refusal =
      'not authorized to perform: ecr:GetAuthorizationToken\nx-amz-security-token:leak'
    scene.api.use(amazonError('AccessDeniedException', refusal))
    const reply = await scene.manifest(host)
    assertError(reply, 502, 'UNAVAILABLE')
    const { message } = messageOf(reply)
    assert.match(message, /AccessDeniedException: not authorized to perform: ecr:GetAuth/)
    assert.doesNotMatch(message + scene.registry.output(), /leak|aws-secret/)
  })
})
