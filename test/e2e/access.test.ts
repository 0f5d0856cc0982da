// Who may do what, as the clients see it: their own login commands with a right and a wrong password,
// and a registry that lets anyone pull while pushing needs the login.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { join } from 'node:path'
import type { LayoutSource } from '../support/clients.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { writeLayout } from '../support/real-image.ts'
import { requireTool } from '../support/tools.ts'
import { clientNames, ClientTable, requireClient } from './client-table.ts'
import { logIn, loginClients } from './log-in.ts'
import { alice, at, openScene, type Scene } from './scene.ts'

const concurrency = 2
const wrongPassword = { ...alice, password: 'not the password' }
const image = imageFixture({ platforms: ['linux/amd64', 'linux/arm64'] })

/** What clients say of a 401, each in its words; buildah says nothing, so its digest is missing. */
const refused =
  /\b401\b|unauthori[sz]ed|authorization failed|authentication required|invalid username|pushed nothing/i

async function makeLayout(scene: Scene): Promise<LayoutSource> {
  const directory = join(scene.directory, 'layout')
  await writeLayout(directory, image, 'small')
  return { directory, ref: 'small', digest: image.root.digest }
}

/** The tags of a repository, as the owner sees them; undefined when there is no such repository. */
async function findTags({ registry }: Scene, repository: string): Promise<string[] | undefined> {
  const reply = await registry.request('GET', `/v2/${repository}/tags/list`)
  return reply.status === 404 ? undefined : (reply.json() as { tags: string[] }).tags
}

for (const { transport, isSecure } of [
  { transport: 'HTTP', isSecure: false },
  { transport: 'HTTPS', isSecure: true },
]) {
  describe(`login commands over ${transport}`, { concurrency }, () => {
    const table = new ClientTable()
    let scene: Scene
    let layout: LayoutSource
    before(async () => {
      scene = await openScene({ isSecure, login: alice })
      layout = await makeLayout(scene)
    })
    after(() => scene[Symbol.asyncDispose]())

    for (const name of loginClients) {
      test(`${name}: the right password logs in, for pushing and pulling`, async (t) => {
        if (requireTool(t, name) === undefined) return
        const [client, stranger] = [await table.get(name), await scene.stranger()]
        await logIn(name, stranger, alice)
        const target = at({ ...stranger, isLoggedIn: true }, `good/${name}`)
        assert.equal(await client.push(layout, target), image.root.digest)
        assert.equal(await client.pull(target), image.root.digest)
      })

      test(`${name}: a wrong password does not`, async (t) => {
        if (requireTool(t, name) === undefined) return
        // A registry of its own, as one takes few wrong passwords before it makes clients wait.
        await using own = await openScene({ isSecure, login: alice })
        await own.registry.push('private/image', 'latest', image)
        const [client, stranger] = [await table.get(name), await own.stranger()]
        // crane keeps a login without asking anyone whether it is right.
        if (name === 'crane') await logIn(name, stranger, wrongPassword)
        else await assert.rejects(logIn(name, stranger, wrongPassword), refused)
        const target = at({ ...stranger, isLoggedIn: true }, 'private/image')
        await assert.rejects(client.pull(target), refused)
      })
    }
  })
}

describe('anonymous pull', { concurrency }, () => {
  const table = new ClientTable()
  let scene: Scene
  let layout: LayoutSource
  before(async () => {
    scene = await openScene({ isSecure: true, login: alice, anonymousPull: true })
    layout = await makeLayout(scene)
    await scene.registry.push('public/image', 'latest', image)
  })
  after(async () => {
    await table[Symbol.asyncDispose]()
    await scene[Symbol.asyncDispose]()
  })

  for (const name of clientNames) {
    test(`${name} pulls without a login`, async (t) => {
      if (!requireClient(t, name)) return
      const target = at(await scene.stranger(), 'public/image')
      assert.equal(await (await table.get(name)).pull(target), image.root.digest)
    })

    test(`${name} does not push without a login`, async (t) => {
      if (!requireClient(t, name)) return
      const target = at(await scene.stranger(), `pushed/without/${name}`)
      await assert.rejects((await table.get(name)).push(layout, target), refused)
      assert.equal(await findTags(scene, target.repository), undefined)
    })

    test(`${name} pushes with a login`, async (t) => {
      if (!requireClient(t, name)) return
      const target = at(await scene.client(), `pushed/with/${name}`)
      assert.equal(await (await table.get(name)).push(layout, target), image.root.digest)
      assert.deepEqual(await findTags(scene, target.repository), ['latest'])
    })
  }
})
