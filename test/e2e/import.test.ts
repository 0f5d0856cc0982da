// `trow import` of what other programs left on disk: Debian's docker-registry, skopeo in each of its
// forms, and a directory as zot keeps it; then crane or skopeo pulls what was imported.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { clients, runClient } from '../support/clients.ts'
import { type ImageLayout, realImageLayout } from '../support/real-image.ts'
import { sha256Digest } from '../support/image-fixture.ts'
import { runTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, getTool, requireTool } from '../support/tools.ts'
import { startUpstream } from '../support/upstream-registry.ts'

const execute = promisify(execFile)

async function skopeoCopy(source: string, target: string, ...flags: string[]): Promise<void> {
  const args = ['--insecure-policy', 'copy', '--quiet', ...flags, source, target]
  await execute(getTool('skopeo'), args)
}

describe('trow import', { skip: findTool('skopeo') === undefined && 'no skopeo' }, () => {
  let layout: ImageLayout
  let temporary: TemporaryDirectory
  let registry: Registry

  before(async () => {
    layout = await realImageLayout()
    temporary = await temporaryDirectory()
    registry = await startRegistry()
  })
  after(async () => {
    await registry[Symbol.asyncDispose]()
    await temporary[Symbol.asyncDispose]()
  })

  /** Twice: the second time there is nothing to do. */
  async function importAll(source: string, ...flags: string[]): Promise<void> {
    const args = ['import', source, '--registry', registry.url, ...flags]
    const { code, stdout, stderr } = await runTrow(args)
    assert.equal(code, 0, stdout + stderr)
    const again = await runTrow(args)
    assert.match(again.stdout, / 0 imported, .* 0 B moved\n$/, again.stdout + again.stderr)
  }

  async function pull(repository: string, tag: string): Promise<string> {
    const directory = await mkdtemp(join(temporary.path, 'client-'))
    const target = { registry: registry.host, directory, repository, tag }
    return await clients.skopeo.pull(target)
  }

  test("takes the storage of Debian's docker-registry", async (t) => {
    if (requireTool(t, 'docker-registry') === undefined) return
    const storage = join(temporary.path, 'distribution')
    await mkdir(storage)
    const upstream = await startUpstream({ directory: temporary.path, storage })
    const directory = await mkdtemp(join(temporary.path, 'client-'))
    for (const [repository, tag] of [
      ['debian', 'latest'],
      ['team/base/debian', '12'],
    ] as const) {
      const target = { registry: upstream.host, directory, repository, tag }
      await clients.skopeo.push(layout, target)
    }
    await upstream.kill()
    await importAll(storage)
    assert.equal(await pull('debian', 'latest'), layout.digest)
    assert.equal(await pull('team/base/debian', '12'), layout.digest)
  })

  test('takes an OCI layout of skopeo, as a directory and as an archive', async () => {
    const source = `oci:${layout.directory}:${layout.ref}`
    const directory = join(temporary.path, 'layout')
    await skopeoCopy(source, `oci:${directory}:docker.io/team/web:1.0`, '--all')
    await importAll(directory)
    assert.equal(await pull('team/web', '1.0'), layout.digest)
    const archive = join(temporary.path, 'oci.tar')
    await skopeoCopy(source, `oci-archive:${archive}:2.0`, '--all')
    await importAll(archive, '--repository', 'team/archive')
    assert.equal(await pull('team/archive', '2.0'), layout.digest)
  })

  test('takes an archive of docker save', async () => {
    const archive = join(temporary.path, 'docker.tar')
    const source = `oci:${layout.directory}:${layout.ref}`
    await skopeoCopy(source, `docker-archive:${archive}:registry.example.com/team/saved:3`)
    await importAll(archive)
    const directory = await mkdtemp(join(temporary.path, 'client-'))
    const image = `docker://${registry.host}/team/saved:3`
    const target = { registry: registry.host, directory }
    const raw = ['inspect', '--config', '--tls-verify=false', image]
    const imported = await runClient('skopeo', raw, target)
    const original = await runClient('skopeo', ['inspect', '--config', source], target)
    const diffIds = (text: string): unknown =>
      (JSON.parse(text) as { rootfs: { diff_ids: unknown } }).rootfs.diff_ids
    assert.deepEqual(diffIds(imported), diffIds(original))
    await pull('team/saved', '3')
  })

  test('takes a root directory of zot', async () => {
    const root = join(temporary.path, 'zot')
    await mkdir(join(root, '_trivy'), { recursive: true })
    for (const [repository, tag] of [
      ['base', '1'],
      ['base', '2'],
      ['team/one/web', 'v3'],
    ] as const) {
      await mkdir(join(root, repository, '.uploads'), { recursive: true })
      const source = `oci:${layout.directory}:${layout.ref}`
      await skopeoCopy(source, `oci:${join(root, repository)}:${tag}`, '--all')
    }
    await importAll(root)
    assert.equal(await pull('base', '2'), layout.digest)
    assert.equal(await pull('team/one/web', 'v3'), layout.digest)
  })

  test('reads back what trow export wrote, and so does skopeo', async () => {
    const directory = await mkdtemp(join(temporary.path, 'client-'))
    const target = { registry: registry.host, directory, repository: 'exported', tag: '1' }
    await clients.skopeo.push(layout, target)
    const archive = join(temporary.path, 'exported.tar')
    const image = `${registry.host}/exported:1`
    const written = await runTrow(['export', image, archive])
    assert.equal(written.code, 0, written.stdout + written.stderr)
    const copied = `oci:${join(temporary.path, 'copied')}:1`
    await skopeoCopy(`oci-archive:${archive}:1`, copied, '--all')
    const raw = await execute(getTool('skopeo'), ['inspect', '--raw', copied])
    assert.equal(sha256Digest(Buffer.from(raw.stdout)), layout.digest)
  })
})
