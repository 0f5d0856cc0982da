// What must not become of a backup: replaced by one of a registry that lost its content or its database, or
// given up because one file cannot be read.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { cp, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { text } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { after, before, describe, test } from 'node:test'
import type { Digest } from '../../src/oci/digest.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { takeSnapshot } from '../support/directory-snapshot.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { makeBlob } from '../support/push-steps.ts'
import { runTrow } from '../support/run-command.ts'
import { startRegistry } from '../support/start-registry.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary-directory.ts'

const program = fileURLToPath(new URL('../../bin/trow', import.meta.url))
const image = imageFixture({ seed: 1, layers: 2 })

describe('a backup stays as it is', () => {
  let directory: TemporaryDirectory
  let backup: string
  let data: string
  before(async () => {
    directory = await temporaryDirectory()
    backup = join(directory.path, 'backup')
    data = join(directory.path, 'data')
    await using registry = await startRegistry()
    await registry.push('app', 'v1', image)
    await registry.stop()
    await cp(registry.dataDirectory, data, { recursive: true })
    const { code, stderr } = await runTrow(['backup', '--data-dir', data, backup])
    assert.equal(code, 0, stderr)
  })
  after(() => directory[Symbol.asyncDispose]())

  const losses: [name: string, lose: (copy: string) => Promise<void>, message: RegExp][] = [
    [
      'whose database is being made anew',
      (copy) => writeFile(join(copy, 'incomplete.json'), '{"by":"trow scrub --rebuild"}\n'),
      /is not complete: trow scrub --rebuild did not finish/,
    ],
    [
      'whose database is missing',
      (copy) => rm(join(copy, 'metadata.db')),
      /metadata\.db is missing or empty: see trow scrub --rebuild/,
    ],
    [
      'whose database lost rows',
      (copy) => {
        const database = new DatabaseSync(join(copy, 'metadata.db'), {
          enableForeignKeyConstraints: false,
        })
        database.exec('delete from repositories')
        database.close()
        return Promise.resolve()
      },
      /metadata\.db is damaged: rows of .* are lost; the backup before this one is as it was/,
    ],
    [
      'that is another one, on the volume of the one that was lost',
      async (copy) => {
        await rm(copy, { recursive: true })
        await using registry = await startRegistry({ dataDirectory: copy })
        await registry.push('other', 'v1', imageFixture({ seed: 2 }))
        await registry.stop()
      },
      /holds the backup of another registry, which this one would replace/,
    ],
  ]
  for (const [name, lose, message] of losses) {
    test(`when a registry is to be backed up into it ${name}`, async () => {
      const copy = join(directory.path, name.replaceAll(/\W+/g, '-'))
      await cp(data, copy, { recursive: true })
      await lose(copy)
      const known = await takeSnapshot(backup)
      const hadDatabase = existsSync(join(copy, 'metadata.db'))
      const { code, stderr } = await runTrow(['backup', '--data-dir', copy, backup])
      assert.equal(code, 1)
      assert.match(stderr, message)
      assert.deepEqual(await takeSnapshot(backup), known)
      assert.equal(existsSync(join(copy, 'metadata.db')), hadDatabase, 'none is made by that')
    })
  }
})

test('one file that cannot be read is told, and the rest is backed up', async () => {
  await using directory = await temporaryDirectory()
  const unreadable = join(directory.path, 'unreadable')
  await mkdir(unreadable)
  await using registry = await startRegistry()
  // A directory in place of the file is as large as that, and reading it fails.
  const blob = makeBlob('unreadable', (await stat(unreadable)).size)
  await registry.pushBlob('app', blob)
  await registry.push('app', 'v1', image)
  const path = new DataLayout(registry.dataDirectory).blob(blob.digest as Digest)
  await rm(path)
  await mkdir(path)
  const archive = join(directory.path, 'backup.tar')
  const target = join(directory.path, 'backup')
  const args = ['backup', '--data-dir', registry.dataDirectory]
  const { code, stdout } = await runTrow([...args, target])
  assert.equal(code, 1)
  assert.match(stdout, new RegExp(`${blob.digest}: it cannot be read: EISDIR`))
  const child = spawn(program, [...args, '-'], { stdio: ['ignore', 'pipe', 'ignore'] })
  await finished(child.stdout.pipe(createWriteStream(archive)))
  for (const source of [target, archive]) {
    const restored = join(directory.path, `restored-${source === archive}`)
    const back = await runTrow(['restore', source, '--data-dir', restored])
    assert.match(back.stdout, new RegExp(`${blob.digest}: the backup does not have it`))
    await using copy = await startRegistry({ dataDirectory: restored })
    for (const { digest, bytes } of image.blobs) {
      assert.ok((await copy.request('GET', `/v2/app/blobs/${digest}`)).body.equals(bytes))
    }
  }
})

test('an archive that nobody reads to its end is no success', async () => {
  await using registry = await startRegistry()
  await registry.pushBlob('app', makeBlob('large', 4 << 20))
  const child = spawn(program, ['backup', '--data-dir', registry.dataDirectory, '-'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.once('data', () => child.stdout.destroy())
  const [code, stderr] = await Promise.all([
    new Promise((resolve) => child.once('exit', resolve)),
    text(child.stderr),
  ])
  assert.equal(code, 1)
  assert.match(stderr, /^trow: the archive cannot be written: .*EPIPE.*\n$/)
})

test('what it cannot be written to is one line and no defect', async () => {
  await using directory = await temporaryDirectory()
  await using registry = await startRegistry()
  const file = join(directory.path, 'file')
  await writeFile(file, '')
  for (const target of [file, join(file, 'backup')]) {
    const { code, stderr } = await runTrow(['backup', '--data-dir', registry.dataDirectory, target])
    assert.equal(code, 1)
    assert.match(stderr, /^trow: \w+: .*file.*\n$/)
  }
})

test('a damaged mark is told as such', async () => {
  await using directory = await temporaryDirectory()
  const target = join(directory.path, 'backup')
  await mkdir(target)
  await writeFile(join(target, 'backup.json'), 'rubbish')
  const restored = join(directory.path, 'restored')
  const { code, stderr } = await runTrow(['restore', target, '--data-dir', restored])
  assert.equal(code, 1)
  assert.match(stderr, /the backup\.json of the backup is damaged/)
})
