// Backups of a running registry and of one that does not run, into directories and archives, and what is
// restored of them: the same answers, whatever was pushed, deleted and collected meanwhile.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { finished } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { blobName } from '../../src/storage/backup/names.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { failedStart } from '../support/failed-start.ts'
import { imageFixture, type ImageFixture } from '../support/image-fixture.ts'
import { runTrow, startTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { until } from '../support/until.ts'

const program = fileURLToPath(new URL('../../bin/trow', import.meta.url))

async function isWhole(registry: Registry, repository: string, tag: string, image: ImageFixture) {
  const manifest = await registry.request('GET', `/v2/${repository}/manifests/${tag}`)
  if (manifest.status !== 200) return false
  assert.equal(manifest.header('docker-content-digest'), image.root.digest)
  for (const { digest, bytes } of image.blobs) {
    const blob = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
    assert.equal(blob.status, 200, digest)
    assert.ok(blob.body.equals(bytes))
  }
  return true
}

function backUp(registry: Registry, target: string) {
  return runTrow(['backup', '--data-dir', registry.dataDirectory, target])
}

/** With an archive on standard output or input. */
async function piped(args: readonly string[], file: string, way: 'in' | 'out'): Promise<number> {
  const child = spawn(program, args, {
    stdio: [way === 'in' ? 'pipe' : 'ignore', 'pipe', 'inherit'],
  })
  if (way === 'in' && child.stdin) createReadStream(file).pipe(child.stdin)
  if (way === 'out') await finished(child.stdout?.pipe(createWriteStream(file)) ?? assert.fail())
  else child.stdout?.resume()
  return await new Promise((resolve) => {
    if (child.exitCode !== null) resolve(child.exitCode)
    else child.once('exit', (code) => resolve(code ?? -1))
  })
}

test('the data directory of the environment, as in a container, goes without saying', async () => {
  await using directory = await temporaryDirectory()
  await using registry = await startRegistry()
  const environment = { TROW_DATA_DIR: registry.dataDirectory }
  const { code, stderr } = await runTrow(['backup', join(directory.path, 'backup')], {
    environment,
  })
  assert.deepEqual([code, stderr], [0, ''])
})

test('a directory, added to while Trow runs, and restored', async () => {
  await using directory = await temporaryDirectory()
  await using registry = await startRegistry()
  const target = join(directory.path, 'backup')
  const first = imageFixture({ seed: 1, platforms: ['linux/amd64', 'linux/arm64'] })
  const second = imageFixture({ seed: 2 })
  const gone = imageFixture({ seed: 3 })
  await registry.push('team/app', 'v1', first)
  await registry.push('gone', 'v1', gone)
  const one = await backUp(registry, target)
  assert.equal(one.code, 0, one.stderr)
  await registry.push('team/app', 'v2', second)
  await registry.request('DELETE', `/v2/gone/manifests/${gone.root.digest}`)
  for (const { digest } of gone.blobs) await registry.request('DELETE', `/v2/gone/blobs/${digest}`)
  const collected = await runTrow(['gc', registry.url])
  assert.equal(collected.code, 0, collected.stderr)
  const two = await backUp(registry, target)
  const added = second.blobs.length + second.manifests.length
  assert.match(two.stdout, new RegExp(`^${added} blobs copied`))
  const [layer] = gone.blobs
  assert.equal(existsSync(join(target, blobName(layer?.digest as Digest))), false)
  assert.equal((await stat(join(target, 'token.key'))).mode & 0o777, 0o600)

  const restored = join(directory.path, 'restored')
  const { code, stdout, stderr } = await runTrow(['restore', target, '--data-dir', restored])
  assert.equal(code, 0, stderr)
  assert.match(stdout, /blobs \(.*\) restored and verified/)
  await using copy = await startRegistry({ dataDirectory: restored })
  assert.ok(await isWhole(copy, 'team/app', 'v1', first))
  assert.ok(await isWhole(copy, 'team/app', 'v2', second))
  assert.equal(await isWhole(copy, 'gone', 'v1', gone), false)
  await copy.push('team/app', 'v3', gone)
  assert.ok(await isWhole(copy, 'team/app', 'v3', gone))
})

test('an archive on a stream, taken while images come, go and are collected', async () => {
  await using directory = await temporaryDirectory()
  const config = JSON.stringify({ gc: { grace: '1s' } })
  await using registry = await startRegistry({ config })
  const kept = imageFixture({ seed: 1, layers: 4, layerBytes: 200_000 })
  await registry.push('kept', 'v1', kept)
  const state = { isDone: false, rounds: 0 }
  const churning = (async () => {
    for (let seed = 100; !state.isDone; seed += 1) {
      const image = imageFixture({ seed, layers: 2 })
      await registry.push('churn', 'latest', image)
      await registry.request('DELETE', `/v2/churn/manifests/${image.root.digest}`)
      await registry.request('POST', '/api/gc')
      state.rounds += 1
    }
  })()
  await until('there is something going on', () => Promise.resolve(state.rounds > 1))
  const archive = join(directory.path, 'backup.tar')
  const args = ['backup', '--data-dir', registry.dataDirectory, '-']
  assert.equal(await piped(args, archive, 'out'), 0)
  state.isDone = true
  await churning
  const restored = join(directory.path, 'restored')
  assert.equal(await piped(['restore', '-', '--data-dir', restored], archive, 'in'), 0)
  await using copy = await startRegistry({ dataDirectory: restored })
  assert.ok(await isWhole(copy, 'kept', 'v1', kept))
  const checked = await runTrow(['scrub', copy.url])
  assert.deepEqual([checked.code, checked.stderr], [0, ''])
})

test('a backup that is killed leaves the one before, and the next one is whole', async () => {
  await using directory = await temporaryDirectory()
  await using registry = await startRegistry()
  const target = join(directory.path, 'backup')
  const first = imageFixture({ seed: 1 })
  await registry.push('app', 'v1', first)
  assert.equal((await backUp(registry, target)).code, 0)
  const second = imageFixture({ seed: 2, layers: 20, layerBytes: 300_000 })
  await registry.push('app', 'v2', second)
  const running = startTrow(['backup', '--data-dir', registry.dataDirectory, target])
  const [layer] = second.blobs.map(({ digest }) => join(target, blobName(digest as Digest)))
  const begun = async () => existsSync(layer ?? '') || (await readdir(target)).length > 4
  await until('it has begun', begun)
  running.signal('SIGKILL')
  await running.result
  const one = join(directory.path, 'one')
  assert.equal((await runTrow(['restore', target, '--data-dir', one])).code, 0)
  await using before = await startRegistry({ dataDirectory: one })
  assert.ok(await isWhole(before, 'app', 'v1', first))
  assert.equal((await backUp(registry, target)).code, 0)
  const two = join(directory.path, 'two')
  assert.equal((await runTrow(['restore', target, '--data-dir', two])).code, 0)
  await using after = await startRegistry({ dataDirectory: two })
  assert.ok(await isWhole(after, 'app', 'v2', second))
})

test('what rotted in a backup is copied anew by a later one that verifies', async () => {
  await using directory = await temporaryDirectory()
  await using registry = await startRegistry()
  const image = imageFixture({ seed: 9 })
  await registry.push('app', 'v1', image)
  const target = join(directory.path, 'backup')
  assert.equal((await backUp(registry, target)).code, 0)
  const [rotten, sound] = image.blobs
  assert.ok(rotten && sound)
  const pathOf = ({ digest }: { digest: string }) => join(target, blobName(digest as Digest))
  const bytes = Buffer.from(rotten.bytes)
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1)
  await writeFile(pathOf(rotten), bytes)
  const trusting = await backUp(registry, target)
  assert.match(trusting.stdout, /^0 blobs copied/m)
  const args = ['backup', '--verify', '--data-dir', registry.dataDirectory, target]
  const verifying = await runTrow(args)
  assert.equal(verifying.code, 0, verifying.stderr)
  assert.match(verifying.stdout, /^1 blob copied/m)
  assert.ok(rotten.bytes.equals(await readFile(pathOf(rotten))))
  assert.ok(sound.bytes.equals(await readFile(pathOf(sound))))
})

describe('a restore', () => {
  test('that is killed goes on, and until then nobody uses the directory', async () => {
    await using directory = await temporaryDirectory()
    await using registry = await startRegistry()
    const image = imageFixture({ layers: 20, layerBytes: 300_000 })
    await registry.push('app', 'v1', image)
    const target = join(directory.path, 'backup')
    assert.equal((await backUp(registry, target)).code, 0)
    const restored = join(directory.path, 'restored')
    const running = startTrow(['restore', target, '--data-dir', restored])
    const mark = join(restored, 'incomplete.json')
    await until('it has begun', () => Promise.resolve(existsSync(mark)))
    running.signal('SIGKILL')
    await running.result
    if (existsSync(mark)) {
      const { stderr } = await failedStart(restored)
      assert.match(stderr, /trow restore did not finish; .*run it again/)
    }
    if (existsSync(mark)) {
      assert.equal((await runTrow(['restore', target, '--data-dir', restored])).code, 0)
    }
    await using copy = await startRegistry({ dataDirectory: restored })
    assert.ok(await isWhole(copy, 'app', 'v1', image))
  })

  test('of damaged content says so, and restores the rest', async () => {
    await using directory = await temporaryDirectory()
    await using registry = await startRegistry()
    const image = imageFixture({ layers: 2 })
    await registry.push('app', 'v1', image)
    const target = join(directory.path, 'backup')
    assert.equal((await backUp(registry, target)).code, 0)
    const [flipped] = image.blobs
    assert.ok(flipped)
    const bytes = Buffer.from(flipped.bytes)
    bytes[0] = (bytes[0] ?? 0) ^ 1
    await writeFile(join(target, blobName(flipped.digest as Digest)), bytes)
    const restored = join(directory.path, 'restored')
    const { code, stdout } = await runTrow(['restore', target, '--data-dir', restored])
    assert.equal(code, 1)
    assert.ok(stdout.includes(`${flipped.digest}: its bytes in the backup are not those`), stdout)
    await using copy = await startRegistry({ dataDirectory: restored })
    assert.equal((await copy.request('GET', '/v2/app/manifests/v1')).status, 200)
    await copy.push('app', 'v1', image)
    assert.ok(await isWhole(copy, 'app', 'v1', image))
  })

  test('of what is no backup, or into what is not empty, changes nothing', async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string) => join(directory.path, name)
    await mkdir(at('full'))
    await writeFile(at('full/file'), 'x')
    await mkdir(at('empty'))
    await mkdir(at('backup'))
    await writeFile(at('backup/backup.json'), '{"backup":1}')
    await writeFile(at('junk.tar'), randomBytes(100_000))
    await promisify(execFile)('tar', ['-cf', at('other.tar'), '-C', directory.path, 'full'])
    await promisify(execFile)('tar', ['-cf', at('backup.tar'), '-C', at('backup'), '.'])
    const cases: readonly [string[], RegExp][] = [
      [['restore', at('nothing'), '-d', at('a')], /there is no backup at .*nothing/],
      [['restore', at('empty'), '-d', at('b')], /empty is no backup: it holds no backup\.json/],
      [['restore', at('backup'), '-d', at('full')], /full is not empty: .*nothing was changed/],
      [['restore', at('backup.tar'), '-d', at('full')], /full is not empty: .*nothing was changed/],
      [['restore', at('junk.tar'), '-d', at('d')], /the archive cannot be read: .*tar/],
      [['restore', at('other.tar'), '-d', at('e')], /this is no backup: it holds no file of one/],
      [['backup', at('c'), '-d', at('full')], /full is no data directory of Trow/],
    ]
    for (const [args, message] of cases) {
      const { code, stderr } = await runTrow(args)
      assert.equal(code, 1, args.join(' '))
      assert.match(stderr, message)
    }
    assert.deepEqual(await readdir(at('full')), ['file'])
    const left = (await readdir(directory.path)).toSorted()
    const archives = ['backup.tar', 'junk.tar', 'other.tar']
    assert.deepEqual(left, ['backup', 'empty', 'full', ...archives].toSorted())
  })

  test('of a backup that is on a volume of its own, into a fresh volume', async () => {
    await using directory = await temporaryDirectory()
    await using registry = await startRegistry()
    const image = imageFixture({ seed: 12 })
    await registry.push('app', 'v1', image)
    const volumes = [join(directory.path, 'backup'), join(directory.path, 'data')] as const
    // As ext4 has it, which only root may look into.
    for (const volume of volumes) await mkdir(join(volume, 'lost+found'), { recursive: true })
    for (const volume of volumes) await chmod(join(volume, 'lost+found'), 0)
    const [target, restored] = volumes
    const taken = await backUp(registry, target)
    assert.equal(taken.code, 0, taken.stderr)
    const { code, stderr } = await runTrow(['restore', target, '--data-dir', restored])
    assert.equal(code, 0, stderr)
    await using copy = await startRegistry({ dataDirectory: restored })
    assert.ok(await isWhole(copy, 'app', 'v1', image))
    for (const volume of volumes) await chmod(join(volume, 'lost+found'), 0o700)
  })

  test('into the directory of a registry that holds nothing, as its first start leaves it', async () => {
    await using directory = await temporaryDirectory()
    await using registry = await startRegistry()
    const image = imageFixture({ seed: 13 })
    await registry.push('app', 'v1', image)
    const target = join(directory.path, 'backup')
    assert.equal((await backUp(registry, target)).code, 0)
    await using other = await startRegistry()
    const args = ['restore', target, '--data-dir', other.dataDirectory]
    const inUse = await runTrow(args)
    assert.match(inUse.stderr, /is in use by process \d+/)
    const upload = await other.request('POST', '/v2/app/blobs/uploads/')
    const chunk = await other.request('PATCH', upload.header('location'), {
      body: Buffer.alloc(99),
    })
    assert.equal(chunk.status, 202)
    await other.stop()
    const { code, stderr } = await runTrow(args)
    assert.equal(code, 0, stderr)
    assert.deepEqual(await readdir(join(other.dataDirectory, 'uploads')), [])
    await other.start()
    assert.ok(await isWhole(other, 'app', 'v1', image))
    await other.push('app', 'v2', imageFixture({ seed: 14 }))
  })

  test('into the directory of a registry that holds something is refused, with how much', async () => {
    await using directory = await temporaryDirectory()
    await using registry = await startRegistry()
    const image = imageFixture({ seed: 15 })
    await registry.push('app', 'v1', image)
    const target = join(directory.path, 'backup')
    assert.equal((await backUp(registry, target)).code, 0)
    await registry.stop()
    const { code, stderr } = await runTrow(['restore', target, '-d', registry.dataDirectory])
    assert.equal(code, 1)
    const blobs = image.blobs.length + image.manifests.length
    assert.ok(stderr.includes(`holds ${blobs} blobs, and its database knows ${blobs}`), stderr)
    await registry.start()
    assert.ok(await isWhole(registry, 'app', 'v1', image))
  })

  test('of an archive that was cut short is refused', async () => {
    await using directory = await temporaryDirectory()
    await using registry = await startRegistry()
    await registry.push('app', 'v1', imageFixture({ layers: 2 }))
    const archive = join(directory.path, 'backup.tar')
    const args = ['backup', '--data-dir', registry.dataDirectory, '-']
    assert.equal(await piped(args, archive, 'out'), 0)
    await truncate(archive, (await stat(archive)).size - 200_000)
    const restored = join(directory.path, 'restored')
    const { code } = await runTrow(['restore', archive, '--data-dir', restored])
    assert.equal(code, 1)
    assert.match((await failedStart(restored)).stderr, /trow restore did not finish/)
  })
})

test('a backup says what is damaged, and refuses a directory of something else', async () => {
  await using directory = await temporaryDirectory()
  await using registry = await startRegistry()
  const image = imageFixture({ layers: 2 })
  await registry.push('app', 'v1', image)
  const [lost, flipped] = image.blobs.map(({ digest }) => digest as Digest)
  const path = (digest: Digest) => join(registry.dataDirectory, blobName(digest))
  assert.ok(lost && flipped)
  await rm(path(lost))
  const bytes = await readFile(path(flipped))
  bytes[3] = (bytes[3] ?? 0) ^ 1
  await chmod(path(flipped), 0o644)
  await writeFile(path(flipped), bytes)
  const { code, stdout } = await backUp(registry, join(directory.path, 'backup'))
  assert.equal(code, 1)
  assert.ok(stdout.includes(`${lost}: its bytes are not there`), stdout)
  assert.ok(stdout.includes(`${flipped}: its bytes are not those of its digest`), stdout)
  const refused = await backUp(registry, registry.dataDirectory)
  assert.match(refused.stderr, /is not empty and no backup/)
})

test('a plain copy of a directory that was in use is made consistent', async () => {
  await using directory = await temporaryDirectory()
  await using registry = await startRegistry()
  const kept = imageFixture({ seed: 1 })
  await registry.push('kept', 'v1', kept)
  const state = { isDone: false, rounds: 0 }
  const pushing = (async () => {
    for (let seed = 50; !state.isDone; seed += 1) {
      await registry.push('more', `v${seed}`, imageFixture({ seed }))
      state.rounds += 1
    }
  })()
  await until('there is something going on', () => Promise.resolve(state.rounds > 1))
  const copied = join(directory.path, 'copy')
  const copying = spawn('cp', ['-a', registry.dataDirectory, copied], { stdio: 'ignore' })
  await new Promise((resolve) => copying.once('exit', resolve))
  state.isDone = true
  await pushing
  const rebuilt = await runTrow(['scrub', '--rebuild', '--data-dir', copied])
  const repaired = await runTrow(['scrub', '--repair', '--data-dir', copied])
  assert.ok([0, 1].includes(rebuilt.code ?? -1) && [0, 1].includes(repaired.code ?? -1))
  await using copy = await startRegistry({ dataDirectory: copied })
  assert.ok(await isWhole(copy, 'kept', 'v1', kept))
})
