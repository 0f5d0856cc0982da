// Artifacts that refer to an image, as signatures and bills of materials do: oras and regctl attach
// them and list them, each also what the other attached, by the referrers API alone.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  connectionFlags,
  imageName,
  parseDigest,
  runClient,
  type Target,
} from '../support/clients.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { requireTool } from '../support/tools.ts'
import { alice, at, openScene, type Scene } from './scene.ts'

const repository = 'software/image'
const image = imageFixture({ platforms: ['linux/amd64', 'linux/arm64'] })

const artifactTypes = {
  oras: 'application/vnd.example.signature',
  regctl: 'application/vnd.example.sbom+json',
} as const

/** A referrer as the clients list it. */
interface Listed {
  readonly digest: string
  readonly artifactType: string
}

for (const { transport, options } of [
  { transport: 'HTTP, anonymous', options: {} },
  { transport: 'HTTPS, with user and password', options: { isSecure: true, login: alice } },
]) {
  describe(`referrers over ${transport}`, () => {
    let scene: Scene
    let target: Target
    const attached: Listed[] = []
    before(async () => {
      scene = await openScene(options)
      target = at(await scene.client(), repository)
      await scene.registry.push(repository, 'latest', image)
    })
    after(() => scene[Symbol.asyncDispose]())

    test('oras attaches, and discovers what it attached', async (t) => {
      if (requireTool(t, 'oras') === undefined) return
      const digest = await orasAttach(target, artifactTypes.oras, 'signed')
      attached.push({ digest, artifactType: artifactTypes.oras })
      assert.deepEqual(await orasDiscover(target), attached)
    })

    test('regctl puts an artifact with a subject, and lists it beside the other', async (t) => {
      if (requireTool(t, 'regctl') === undefined) return
      const digest = await regctlPut(target, artifactTypes.regctl, '{"packages":[]}')
      attached.push({ digest, artifactType: artifactTypes.regctl })
      assert.deepEqual(sorted(await regctlList(target)), sorted(attached))
    })

    test('oras discovers both, and by artifact type one', async (t) => {
      if (requireTool(t, 'oras') === undefined || requireTool(t, 'regctl') === undefined) return
      assert.deepEqual(sorted(await orasDiscover(target)), sorted(attached))
      const filter = ['--artifact-type', artifactTypes.regctl]
      assert.deepEqual(await orasDiscover(target, filter), attached.slice(1))
    })

    test('regctl lists by artifact type', async (t) => {
      if (requireTool(t, 'oras') === undefined || requireTool(t, 'regctl') === undefined) return
      const filter = ['--filter-artifact-type', artifactTypes.oras]
      assert.deepEqual(await regctlList(target, filter), attached.slice(0, 1))
    })

    test('what is deleted is listed no more', async (t) => {
      if (requireTool(t, 'oras') === undefined || requireTool(t, 'regctl') === undefined) return
      const name = `${target.registry}/${repository}@${attached[0]?.digest}`
      const remove = ['manifest', 'delete', '--force', ...connectionFlags('oras', target), name]
      await runClient('oras', remove, target)
      assert.deepEqual(await regctlList(target), attached.slice(1))
      assert.deepEqual(await orasDiscover(target), attached.slice(1))
    })

    test('no tag stands in for the API', async () => {
      const reply = await scene.registry.request('GET', `/v2/${repository}/tags/list`)
      assert.deepEqual(reply.json(), { name: repository, tags: ['latest'] })
    })
  })
}

function sorted(listed: readonly Listed[]): Listed[] {
  return listed.toSorted((a, b) => a.digest.localeCompare(b.digest))
}

/** @returns the digest of the referrer's manifest. */
async function orasAttach(target: Target, artifactType: string, content: string): Promise<string> {
  await writeFile(join(target.directory, 'attached'), content)
  const what = ['--artifact-type', artifactType, imageName(target), 'attached:text/plain']
  const attach = ['attach', '--no-tty', ...connectionFlags('oras', target), ...what]
  return parseDigest(
    await runClient('oras', [...attach, '--format=go-template={{.digest}}'], target),
  )
}

async function orasDiscover(target: Target, flags: readonly string[] = []): Promise<Listed[]> {
  const how = ['--format=json', ...connectionFlags('oras', target), ...flags]
  const output = await runClient('oras', ['discover', ...how, imageName(target)], target)
  const { referrers } = JSON.parse(output) as { referrers?: Listed[] }
  return listedOf(referrers)
}

async function regctlPut(target: Target, artifactType: string, content: string): Promise<string> {
  const file = join(target.directory, 'put')
  await writeFile(file, content)
  const what = ['--artifact-type', artifactType, '--file', file, '--subject', imageName(target)]
  const put = [...connectionFlags('regctl', target), 'artifact', 'put', ...what]
  return parseDigest(
    await runClient('regctl', [...put, '--format={{.Manifest.GetDescriptor.Digest}}'], target),
  )
}

async function regctlList(target: Target, flags: readonly string[] = []): Promise<Listed[]> {
  const list = [...connectionFlags('regctl', target), 'artifact', 'list', ...flags]
  const output = await runClient(
    'regctl',
    [...list, '--format=raw-body', imageName(target)],
    target,
  )
  const { manifests } = JSON.parse(output) as { manifests?: Listed[] }
  return listedOf(manifests)
}

function listedOf(referrers: readonly Listed[] = []): Listed[] {
  return referrers.map(({ digest, artifactType }) => ({ digest, artifactType }))
}
