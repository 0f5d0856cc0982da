// docker-ls, which the user guide recommends for listing repositories and tags, as the guide calls it:
// with user and password, over HTTPS. It is found on the PATH only.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { runClient } from '../support/clients.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { findTool, requireTool } from '../support/tools.ts'
import { alice, openScene, type Scene } from './scene.ts'

const repositories = ['alpine', 'one/two', 'user1/web', 'user2/web']
const tags = ['default', 'test']

describe('docker-ls', () => {
  let scene: Scene
  before(async () => {
    if (findTool('docker-ls') === undefined) return
    scene = await openScene({ isSecure: true, login: alice })
    const image = imageFixture()
    for (const repository of repositories) {
      for (const tag of tags) await scene.registry.push(repository, tag, image)
    }
  })
  after(() => scene?.[Symbol.asyncDispose]())

  async function dockerLs(...args: string[]): Promise<string> {
    const credentials = ['-u', alice.username, '-p', alice.password]
    const registry = ['-r', scene.registry.url]
    return runClient('docker-ls', [...args, ...credentials, ...registry], await scene.client())
  }

  const scripts = [
    { what: 'with tokens', flags: [] },
    { what: 'with Basic', flags: ['--basic-auth'] },
    { what: 'page by page', flags: ['--page-size', '1'] },
  ]
  for (const { what, flags } of scripts) {
    test(`lists repositories ${what}`, async (t) => {
      if (requireTool(t, 'docker-ls') === undefined) return
      const listed = await dockerLs('repositories', ...flags)
      assert.equal(listed, yamlOf('repositories', repositories))
    })

    test(`lists a repository's tags ${what}`, async (t) => {
      if (requireTool(t, 'docker-ls') === undefined) return
      const listed = await dockerLs('tags', 'user1/web', ...flags)
      assert.equal(listed, `repository: user1/web\n${yamlOf('tags', tags)}`)
    })
  }

  test('lists every tag of every repository', async (t) => {
    if (requireTool(t, 'docker-ls') === undefined) return
    const listed = JSON.parse(await dockerLs('repositories', '--level', '1', '--json')) as {
      repositories: { repository: string; tags: string[] }[]
    }
    assert.deepEqual(
      listed.repositories,
      repositories.map((repository) => ({ repository, tags })),
    )
  })

  test('shows nothing to a wrong password', async (t) => {
    if (requireTool(t, 'docker-ls') === undefined) return
    const args = ['repositories', '-u', alice.username, '-p', 'wrong', '-r', scene.registry.url]
    await assert.rejects(runClient('docker-ls', args, await scene.stranger()), /failed with/)
  })
})

function yamlOf(key: string, values: readonly string[]): string {
  return `${key}:\n${values.map((value) => `- ${value}\n`).join('')}`
}
