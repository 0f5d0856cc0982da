// Every real client pushes a real multi-architecture image and pulls it back, and each also pulls
// what another one pushed, in a ring: anonymous over HTTP, and over HTTPS with user and password. The
// image is the same to all of them, and its bytes in the data directory are right.

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import {
  clientNames,
  ClientTable,
  isClientHere,
  requireClient,
  type ClientName,
} from './client-table.ts'
import { alice, at, openScene, type Scene } from './scene.ts'
import { listLayoutBlobs, verifyStoredBlobs } from './stored-blobs.ts'

const transports = [
  { name: 'HTTP, anonymous', options: {} },
  { name: 'HTTPS, with user and password', options: { isSecure: true, login: alice } },
]

/** Clients at work at the same time. */
const concurrency = 2

const present = clientNames.filter(isClientHere)

function nextOf(name: ClientName): ClientName {
  return present[(present.indexOf(name) + 1) % present.length] ?? name
}

for (const { name: transport, options } of transports) {
  describe(`real clients over ${transport}`, () => {
    const table = new ClientTable()
    let layout: ImageLayout
    let scene: Scene
    before(async () => {
      layout = await realImageLayout()
      scene = await openScene(options)
    })
    after(async () => {
      await table[Symbol.asyncDispose]()
      await scene[Symbol.asyncDispose]()
    })

    async function pull(name: ClientName, repository: string): Promise<string> {
      const client = await scene.client()
      const digest = await (await table.get(name)).pull(at(client, repository, 'debian'))
      await rm(client.directory, { recursive: true, force: true })
      return digest
    }

    describe('push and pull', { concurrency }, () => {
      for (const name of clientNames) {
        test(`${name} pushes; ${name} and ${nextOf(name)} pull the same`, async (t) => {
          if (!requireClient(t, name)) return
          const [repository, client] = [`real/${name}`, await scene.client()]
          const target = at(client, repository, 'debian')
          const pushed = await (await table.get(name)).push(layout, target)
          assert.equal(pushed, layout.digest, 'pushed')
          assert.equal(await pull(name, repository), layout.digest, `pulled by ${name}`)
          const other = nextOf(name)
          assert.equal(await pull(other, repository), layout.digest, `pulled by ${other}`)
        })
      }
    })

    test('the data directory has the whole image, each blob under its digest', async (t) => {
      if (present.length === 0) return t.skip('no client has pushed')
      const stored = await verifyStoredBlobs(scene.registry.dataDirectory)
      const { manifests } = await scene.registry
        .request('GET', `/v2/real/${present[0]}/manifests/debian`)
        .then((reply) => reply.json() as { manifests: { digest: string }[] })
      const kept = new Set([...stored, layout.digest, ...manifests.map(({ digest }) => digest)])
      const missing = (await listLayoutBlobs(layout.directory)).filter((blob) => !kept.has(blob))
      assert.deepEqual(missing, [])
    })
  })
}
