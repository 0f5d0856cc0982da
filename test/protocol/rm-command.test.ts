/**
 * `trow rm` and `DELETE /api/repositories/...`: an image goes with all that is only there because of it,
 * a repository with everything, and their space with the next collection.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ImageFixture, imageFixture } from '../support/image-fixture.ts'
import { assertError, pushTag } from '../support/push-steps.ts'
import { runTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const config = 'gc:\n  enabled: false\n  grace: 1s\nimmutable_tags: ["v*", "team/*:prod"]\n'
const index = imageFixture({ platforms: ['linux/amd64', 'linux/arm64'] })
const signature = imageFixture({ seed: 2, subject: index.root })

async function startWithImages(): Promise<Registry> {
  const registry = await startRegistry({ config })
  await registry.push('app', 'one', index)
  await registry.push('app', index.root.digest, index)
  for (const blob of signature.blobs) await registry.pushBlob('app', blob)
  for (const manifest of signature.manifests) {
    await registry.pushManifest('app', manifest.digest, manifest)
  }
  return registry
}

async function missing(registry: Registry, { manifests }: ImageFixture): Promise<number> {
  const found = manifests.map(async ({ digest }) => {
    const { status } = await registry.request('GET', `/v2/app/manifests/${digest}`)
    return status === 404
  })
  return (await Promise.all(found)).filter(Boolean).length
}

describe('an image', () => {
  test('goes with its children and signatures when its last tag does', async () => {
    await using registry = await startWithImages()
    await registry.pushManifest('app', 'two', index.manifests.at(-1) ?? assert.fail())
    const one = await runTrow(['rm', '--yes', `${registry.host}/app:one`])
    assert.equal(
      one.stdout,
      'deleted app:one: 1 tag, 0 manifests; the image stays, as something else points at it\n',
    )
    assert.equal(await missing(registry, index), 0)
    const two = await runTrow(['rm', '--yes', `${registry.host}/app:two`])
    assert.equal(two.stdout, 'deleted app:two: 1 tag, 4 manifests\n', two.stderr)
    assert.equal(await missing(registry, index), index.manifests.length)
    assert.equal(await missing(registry, signature), signature.manifests.length)
  })

  test('keeps a child that has a tag of its own, and a layer that another image has', async () => {
    await using registry = await startWithImages()
    const [child] = index.manifests
    assert.ok(child)
    await registry.pushManifest('app', 'child', child)
    const { stdout } = await runTrow(['rm', '-y', `${registry.host}/app@${index.root.digest}`])
    assert.equal(stdout, `deleted app@${index.root.digest}: 1 tag, 3 manifests\n`)
    const { status, body } = await registry.request('GET', '/v2/app/manifests/child')
    assert.equal(status, 200)
    const { layers } = JSON.parse(body.toString()) as { layers: { digest: string }[] }
    await registry.request('POST', '/api/gc')
    for (const { digest } of layers) {
      assert.equal((await registry.request('HEAD', `/v2/app/blobs/${digest}`)).status, 200)
    }
  })

  test('that an index needs does not go', async () => {
    await using registry = await startWithImages()
    const [child] = index.manifests
    const { code, stderr } = await runTrow(['rm', '-y', `${registry.host}/app@${child?.digest}`])
    assert.equal(code, 1)
    assert.match(stderr, /is needed by an index/)
    assert.equal(await missing(registry, index), 0)
    assert.equal((await registry.request('GET', '/v2/app/manifests/one')).status, 200)
  })

  test('that is attached to another one goes by its digest', async () => {
    await using registry = await startWithImages()
    const { stdout } = await runTrow(['rm', '-y', `${registry.host}/app@${signature.root.digest}`])
    assert.match(stdout, /0 tags, 1 manifest\n$/)
    assert.equal(await missing(registry, index), 0)
    const { body } = await registry.request('GET', `/v2/app/referrers/${index.root.digest}`)
    assert.deepEqual((JSON.parse(body.toString()) as { manifests: object[] }).manifests, [])
  })
})

describe('a repository', () => {
  test('goes with everything, and its space with the next collection', async () => {
    await using registry = await startWithImages()
    await pushTag(registry, 'other', 'kept')
    const { stdout } = await runTrow(['rm', '-y', `${registry.host}/app`])
    assert.match(stdout, /^deleted all of app: 1 tag, 4 manifests, \d+ blobs\n$/)
    assertError(await registry.request('GET', '/v2/app/tags/list'), 404, 'NAME_UNKNOWN')
    const collected = await registry.request('POST', '/api/gc')
    assert.match(collected.body.toString(), /"blobs":[1-9]/)
    const { body } = await registry.request('GET', '/metrics')
    assert.match(body.toString(), /^trow_content_blobs 2$/m)
    assert.equal((await registry.request('GET', '/v2/other/manifests/kept')).status, 200)
  })

  test('that is not there, or is of another registry, is refused', async () => {
    await using registry = await startRegistry({ config })
    assertError(await registry.request('DELETE', '/api/repositories/nothing'), 404, 'NAME_UNKNOWN')
    const cached = '/api/repositories/f/docker.io/library/nginx'
    assertError(await registry.request('DELETE', cached), 405, 'UNSUPPORTED')
    await pushTag(registry, 'app', 'x')
    // A misspelled parameter does not make it all of the repository.
    const wrong = '/api/repositories/app?tags=x'
    assertError(await registry.request('DELETE', wrong), 400, 'UNSUPPORTED')
    assertError(await registry.request('DELETE', '/api/repositories/app?tag='), 400, 'TAG_INVALID')
  })

  test('takes the right to delete', async () => {
    const user = { name: 'ann', password: 'secret' }
    await using registry = await startRegistry({ config, user, anonymousPull: true })
    await pushTag(registry, 'app', 'x')
    const anonymous = { anonymous: true }
    const refused = await registry.request('DELETE', '/api/repositories/app', anonymous)
    assertError(refused, 401, 'UNAUTHORIZED')
    const command = ['rm', '-y', `${registry.url}/app`]
    assert.match((await runTrow(command)).stderr, /401.*log in with -u/)
    assert.equal((await runTrow([...command, '-u', 'ann', '-p', 'secret'])).code, 0)
  })
})

describe('nothing goes', () => {
  test('with --dry-run, or without a yes where nobody can be asked', async () => {
    await using registry = await startWithImages()
    const dry = await runTrow([
      'rm',
      '--dry-run',
      `${registry.host}/app:one`,
      `${registry.host}/app`,
    ])
    assert.match(dry.stdout, /^would delete app:one: 1 tag, 4 manifests\nwould delete all of app: /)
    const json = await runTrow(['rm', '--dry-run', '--json', `${registry.host}/app:one`])
    const { tags, manifests } = JSON.parse(json.stdout) as { tags: string[]; manifests: string[] }
    assert.deepEqual([tags, manifests.length], [['one'], 4])
    const asked = await runTrow(['rm', `${registry.host}/app:one`])
    assert.equal(asked.code, 2)
    assert.match(asked.stderr, /say --yes/)
    assert.equal(await missing(registry, index), 0)
    assert.equal((await registry.request('GET', '/v2/app/manifests/one')).status, 200)
  })

  test('of an immutable tag, by any way, and it does not move', async () => {
    await using registry = await startRegistry({ config })
    const image = await pushTag(registry, 'app', 'v1')
    const paths = [
      '/v2/app/manifests/v1',
      `/v2/app/manifests/${image.digest}`,
      '/api/repositories/app',
      '/api/repositories/app?tag=v1',
      `/api/repositories/app?digest=${image.digest}`,
    ]
    for (const path of paths) assertError(await registry.request('DELETE', path), 409, 'DENIED')
    const other = await pushTag(registry, 'app', 'latest', 'another')
    const push = (path: string) =>
      registry.request('PUT', `/v2/app/manifests/${path}`, {
        body: other.bytes,
        headers: { 'content-type': other.mediaType },
      })
    assertError(await push('v1'), 409, 'DENIED')
    assertError(await push(`${other.digest}?tag=free&tag=v1`), 409, 'DENIED')
    assert.equal((await registry.request('GET', '/v2/app/manifests/free')).status, 404)
    // The same image again is no move, and other repositories and tags are not meant.
    await registry.pushManifest('app', 'v1', image)
    for (const tag of ['prod', 'latest']) {
      await pushTag(registry, 'app', tag, `${tag} 1`)
      await pushTag(registry, 'app', tag, `${tag} 2`)
    }
    await pushTag(registry, 'team/a', 'prod', '1')
    const moved = await pushTag(registry, 'team/a', 'else', '2')
    const reply = await registry.request('PUT', '/v2/team/a/manifests/prod', {
      body: moved.bytes,
      headers: { 'content-type': moved.mediaType },
    })
    assertError(reply, 409, 'DENIED')
    assert.match(reply.body.toString(), /tag prod is immutable/)
    const found = await registry.request('GET', '/v2/app/manifests/v1')
    assert.equal(found.header('docker-content-digest'), image.digest)
  })
})
