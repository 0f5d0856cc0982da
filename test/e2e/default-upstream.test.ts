// Real clients push to a registry with a default upstream that has the very same image under that
// name: what they push is here afterwards, and not merely at the upstream.

import assert from 'node:assert/strict'
import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { proxyConfig } from '../support/pull-through.ts'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts'
import { clientNames, ClientTable, isClientHere, requireClient } from './client-table.ts'

const repository = 'library/debian'
const tag = 'v1'

interface Node {
  readonly digest: string
  readonly mediaType: string
}

/** The index's content, with all that is below it. */
async function addLayout({ content }: FakeUpstream, layout: ImageLayout): Promise<void> {
  const add = async ({ digest, mediaType }: Node): Promise<void> => {
    const bytes = await readFile(join(layout.directory, 'blobs', digest.replace(':', '/')))
    if (!/index|manifest/.test(mediaType)) {
      content.addBlob(repository, bytes, digest)
      return
    }
    content.addManifest(repository, { digest, mediaType, bytes })
    const {
      config,
      layers = [],
      manifests = [],
    } = JSON.parse(bytes.toString()) as {
      config?: Node
      layers?: Node[]
      manifests?: Node[]
    }
    for (const child of [...(config ? [config] : []), ...layers, ...manifests]) await add(child)
  }
  await add({ digest: layout.digest, mediaType: 'application/vnd.oci.image.index.v1+json' })
  content.setTag(repository, tag, layout.digest)
}

describe('an image that the default upstream has, too', () => {
  const table = new ClientTable()
  let directory: TemporaryDirectory
  let upstream: FakeUpstream
  let layout: ImageLayout
  before(async () => {
    directory = await temporaryDirectory()
    upstream = await FakeUpstream.start()
    if (!clientNames.some((name) => isClientHere(name))) return
    layout = await realImageLayout()
    await addLayout(upstream, layout)
  })
  after(async () => {
    await table[Symbol.asyncDispose]()
    await upstream[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })

  for (const name of clientNames) {
    test(`is pushed whole by ${name}`, async (t) => {
      if (!requireClient(t, name)) return
      const entry = { host: 'docker.io', insecure: true, endpoints: [upstream.host] }
      const config = proxyConfig([entry], { default_upstream: 'docker.io' })
      await using registry = await startRegistry({ config })
      const client = await table.get(name)
      const target = async () => ({
        registry: registry.host,
        directory: await mkdtemp(join(directory.path, 'client-')),
        repository,
        tag,
      })
      assert.equal(await client.push(layout, await target()), layout.digest)
      const catalog = await registry.request('GET', '/v2/_catalog')
      assert.deepEqual(catalog.json(), { repositories: [repository] })
      assert.equal(await client.pull(await target()), layout.digest)
      assert.equal(upstream.connections, 0)
    })
  }
})
