/**
 * Private ECR registries under their own names, which a proxy leads to this machine: Trow logs in with
 * the AWS credentials that it finds, and says what is missing when it finds none.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ecrHosts, startEcrScene } from '../support/ecr-scene.ts'
import { amazonError } from '../support/fake-ecr.ts'
import { failing } from '../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { messageOf } from '../support/pull-through.ts'
import { assertError } from '../support/push-steps.ts'

const image = imageFixture({ layers: 2, layerBytes: 100_000 })
const { host, neighbour } = ecrHosts
const hosts = Object.values(ecrHosts)

describe('28. a private ECR registry', () => {
  test('is logged in to once, with AWS credentials, by many at the same time', async (t) => {
    await using scene = await startEcrScene(t, image)
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
    await using scene = await startEcrScene(t, image)
    for (const name of [...hosts, ...hosts]) {
      assert.equal((await scene.manifest(name)).status, 200, name)
    }
    const regions = ['eu-west-1', 'cn-north-1', 'us-gov-west-1', 'eu-west-1']
    assert.deepEqual(scene.ecr.regions, regions)
  })

  test('is logged in to by the role of a service account', async (t) => {
    await using scene = await startEcrScene(t, image, { hasRole: true })
    const reply = await scene.manifest(host)
    assert.equal(reply.status, 200, reply.body.toString())
    assert.deepEqual(scene.ecr.identities, ['identity'])
    assert.doesNotMatch(scene.registry.output(), /sts-se/)
  })

  test('is logged in to by its entry, if that has a login', async (t) => {
    const entry = { host, username: 'AWS', password: 'password-9' }
    await using scene = await startEcrScene(t, image, { entries: [entry, { host: neighbour }] })
    assert.equal((await scene.manifest(host)).status, 200)
    assert.deepEqual(scene.ecr.regions, [])
    assert.equal((await scene.manifest(neighbour)).status, 200)
    assert.deepEqual(scene.ecr.regions, ['eu-west-1'])
  })

  test('that does not let the login see something says what it needs', async (t) => {
    await using scene = await startEcrScene(t, image)
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
    await using scene = await startEcrScene(t, image, { environment: {} })
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
    await using scene = await startEcrScene(t, image)
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
