// The policy at pulls (`enforce_at_pull`): what may not run is not served, of this registry or through
// it of another one, and pushing goes on as ever.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FakeUpstream } from '../support/fake-upstream.ts'
import type { Reply } from '../support/http-client.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { messageOf, pathOf, Scene } from '../support/pull-through.ts'
import { startRegistry } from '../support/start-registry.ts'

const byDefault = 'Image is neither explicitly allowed nor denied (using default behavior)'
const own = 'trow.example.com'
const image = imageFixture({
  layers: 1,
  layerBytes: 1_000,
  platforms: ['linux/amd64', 'linux/arm64'],
})
const other = imageFixture({ layers: 1, layerBytes: 2_000 })

/** @param validation given the upstream's host */
async function start(validation: (host: string) => object): Promise<Scene> {
  const upstream = await FakeUpstream.start()
  const { host } = upstream
  const config = JSON.stringify({
    hostname: [own, 'trow:5000'],
    registry_proxies: { registries: [{ host, insecure: true }] },
    image_validation: { default: 'Deny', enforce_at_pull: true, ...validation(host) },
  })
  try {
    return new Scene(upstream, await startRegistry({ config }))
  } catch (error) {
    await upstream[Symbol.asyncDispose]()
    throw error
  }
}

describe('of this registry', () => {
  let scene: Scene
  const pull = (path: string, method = 'GET'): Promise<Reply> =>
    scene.registry.request(method, `/v2/${path}`)

  before(async () => {
    scene = await start(() => ({
      allow: [`${own}/team/`, `trow:5000/tools/app:1`],
      deny: [{ image: `${own}/team/secret`, message: 'ask the team' }, '**:bad'],
    }))
    for (const repository of ['team/app', 'team/secret', 'tools/app', 'alone']) {
      await scene.registry.push(repository, '1', image)
      await scene.registry.push(repository, 'bad', other)
    }
  })
  after(() => scene[Symbol.asyncDispose]())

  test('what is allowed is served, by tag and with all of its parts', async () => {
    for (const repository of ['team/app', 'tools/app']) {
      assert.equal((await pull(`${repository}/manifests/1`)).status, 200)
      for (const { digest } of image.manifests) {
        assert.equal((await pull(`${repository}/manifests/${digest}`)).status, 200)
      }
    }
  })
  test('what is not is refused with the reason, whatever the method', async () => {
    const cases: [path: string, message: string][] = [
      ['team/secret/manifests/1', `${own}/team/secret:1: Image explicitly denied: ask the team`],
      [
        `team/secret/manifests/${image.root.digest}`,
        `${own}/team/secret@${image.root.digest}: Image explicitly denied: ask the team`,
      ],
      ['team/app/manifests/bad', `${own}/team/app:bad: Image explicitly denied`],
      ['alone/manifests/1', `${own}/alone:1: ${byDefault}`],
      [`alone/manifests/${image.root.digest}`, `${own}/alone@${image.root.digest}: ${byDefault}`],
      ['tools/app/manifests/2', `${own}/tools/app:2: ${byDefault}`],
    ]
    for (const [path, message] of cases) {
      const reply = await pull(path)
      assert.equal(reply.status, 403, path)
      assert.deepEqual([messageOf(reply).code, messageOf(reply).message], ['DENIED', message])
      assert.equal((await pull(path, 'HEAD')).status, 403)
    }
  })
  test('the name that a client gives this registry changes nothing', async () => {
    for (const host of ['docker.io', own, 'evil.io']) {
      const reply = await scene.registry.request('GET', '/v2/alone/manifests/1', {
        headers: { host },
      })
      assert.equal(reply.status, 403, host)
    }
  })
  test('tags and blobs are served, and what was refused can be deleted', async () => {
    assert.equal((await pull('team/secret/tags/list')).status, 200)
    const [blob] = image.blobs
    assert.equal((await pull(`team/secret/blobs/${blob?.digest}`)).status, 200)
    assert.equal((await pull('team/secret/manifests/bad', 'DELETE')).status, 202)
  })
  test('the metrics count what was refused', async () => {
    const { body } = await scene.registry.request('GET', '/metrics')
    assert.match(body.toString(), /^trow_admission_pulls_refused_total\{mode="enforce"\} [1-9]/m)
  })
})

describe('of other registries', () => {
  const startWithImages = async (validation: (host: string) => object): Promise<Scene> => {
    const scene = await start(validation)
    scene.upstream.content.addImage('app', image, '1')
    scene.upstream.content.addImage('evil', other, '1')
    return scene
  }
  const byNamespace = (scene: Scene, repository: string): Promise<Reply> =>
    scene.registry.request('GET', `/v2/${repository}/manifests/1?ns=${scene.host}`)
  const byPath = (scene: Scene, repository: string): Promise<Reply> =>
    scene.registry.request('GET', `${pathOf(scene, repository)}/manifests/1`)

  test('what is allowed there is served under both of its names, and nothing else is asked for', async () => {
    await using scene = await startWithImages((host) => ({ allow: [`${host}/app`] }))
    assert.equal((await byNamespace(scene, 'app')).status, 200)
    assert.equal((await byPath(scene, 'app')).status, 200)
    const denied = await byNamespace(scene, 'evil')
    assert.equal(denied.status, 403)
    assert.deepEqual(messageOf(denied), {
      code: 'DENIED',
      message: `${scene.host}/evil:1: ${byDefault}`,
      detail: { image: `${scene.host}/evil:1` },
    })
    assert.equal((await byPath(scene, 'evil')).status, 403)
    assert.equal(scene.count(/evil/), 0)
  })
  test('what is denied there is refused under both', async () => {
    await using scene = await startWithImages((host) => ({
      default: 'Allow',
      deny: [`${host}/evil`],
    }))
    assert.equal((await byNamespace(scene, 'app')).status, 200)
    assert.equal((await byNamespace(scene, 'evil')).status, 403)
    assert.equal((await byPath(scene, 'evil')).status, 403)
  })
  test('a rule for this registry is not for others, but one for its paths is', async () => {
    await using scene = await startWithImages((host) => ({
      allow: [`${own}/`, `trow:5000/f/${host.replace(':', '_')}/app`],
    }))
    assert.equal((await byPath(scene, 'app')).status, 200)
    assert.equal((await byPath(scene, 'evil')).status, 403)
    assert.equal((await byNamespace(scene, 'app')).status, 403)
  })
})

describe('in other modes', () => {
  test('everything is served, and the log has what would not be', async () => {
    await using scene = await start(() => ({ mode: 'audit' }))
    await scene.registry.push('app', '1', other)
    assert.equal((await scene.registry.request('GET', '/v2/app/manifests/1')).status, 200)
    const { mode, reason } = await scene.registry.logged(
      ({ msg }) => msg === `pull would be refused: ${own}/app:1`,
    )
    assert.deepEqual([mode, reason], ['audit', byDefault])
  })
})
