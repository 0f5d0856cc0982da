// A data directory that was copied with `cp -r` while Trow was busy: one command makes it consistent, whatever
// the copy has of the database and of the blobs. What was there before the copy began is whole again, or
// is told and comes back by a push; nothing is answered with other bytes than those of its digest.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { failedStart } from '../support/failed-start.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { runTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary-directory.ts'
import { until } from '../support/until.ts'

const kept = imageFixture({ seed: 1, layers: 3, platforms: ['linux/amd64', 'linux/arm64'] })
/** Of SQLite. */
const pageBytes = 4096

async function removeLog(copy: string): Promise<void> {
  for (const suffix of ['-wal', '-shm']) {
    await rm(join(copy, `metadata.db${suffix}`), { force: true })
  }
}

/** All of the database is in its file, so that nothing of it is read from anywhere else. */
async function emptyLog(copy: string): Promise<void> {
  const database = new DatabaseSync(join(copy, 'metadata.db'))
  database.exec('pragma wal_checkpoint(truncate)')
  database.close()
  await removeLog(copy)
}

/** Pushes, moves tags and deletes, as long as it is wanted. */
async function keepBusy(registry: Registry, busy: { rounds: number; isOver: boolean }) {
  for (let seed = 100; !busy.isOver; seed += 1) {
    const image = imageFixture({ seed, layers: 2, layerBytes: 50_000 })
    await registry.push('churn', 'latest', image)
    await registry.push(`churn/${seed % 7}`, `v${seed}`, image)
    if (seed % 3 === 0) {
      await registry.request('DELETE', `/v2/churn/manifests/${image.root.digest}`)
    }
    busy.rounds += 1
  }
}

describe('a copy that was taken while Trow ran', () => {
  let directory: TemporaryDirectory
  let original: string
  before(async () => {
    directory = await temporaryDirectory()
    original = join(directory.path, 'original')
    await using registry = await startRegistry()
    await registry.push('kept', 'v1', kept)
    const busy = { rounds: 0, isOver: false }
    const churning = keepBusy(registry, busy)
    await until('there is something going on', () => busy.rounds > 5)
    await copyDirectory(registry.dataDirectory, original)
    busy.isOver = true
    await churning
  })
  after(() => directory[Symbol.asyncDispose]())

  async function copyDirectory(from: string, to: string): Promise<void> {
    // What vanishes while it is copied makes cp complain and go on.
    await promisify(execFile)('cp', ['-r', from, to]).catch(() => undefined)
    assert.ok((await stat(join(to, 'metadata.db'))).size > 0)
  }

  async function takeCopy(name: string): Promise<string> {
    const copy = join(directory.path, name.replaceAll(/\W+/g, '-'))
    await copyDirectory(original, copy)
    return copy
  }

  /** Whatever is told is about what was pushed meanwhile. */
  async function repair(copy: string): Promise<{ items: Item[]; report: Report }> {
    const args = ['scrub', '--repair', '--data-dir', copy, '--format', 'json']
    const { code, stdout, stderr } = await runTrow(args)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { item?: Item; report?: Report })
    const report = lines.at(-1)?.report
    assert.ok(report, stderr)
    assert.equal(code, report.unrepaired > 0 ? 1 : 0)
    return { items: lines.flatMap(({ item }) => item ?? []), report }
  }

  async function assertConsistent(registry: Registry): Promise<void> {
    const catalog = await registry.request('GET', '/v2/_catalog')
    const { repositories } = catalog.json() as { repositories: string[] }
    assert.ok(repositories.includes('kept'))
    for (const repository of repositories) {
      const list = await registry.request('GET', `/v2/${repository}/tags/list`)
      for (const tag of (list.json() as { tags: string[] }).tags) {
        const { status, body } = await registry.request('GET', `/v2/${repository}/manifests/${tag}`)
        if (status !== 200) continue
        const { layers = [] } = JSON.parse(body.toString()) as { layers?: { digest: string }[] }
        for (const { digest } of layers) {
          const blob = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
          assert.ok(blob.status === 404 || digestOf(blob.body) === digest, digest)
        }
      }
    }
  }

  async function assertKept(registry: Registry): Promise<void> {
    const { body } = await registry.request('GET', '/v2/kept/manifests/v1')
    assert.equal(digestOf(body), kept.root.digest)
    for (const { digest } of kept.manifests) {
      assert.equal((await registry.request('GET', `/v2/kept/manifests/${digest}`)).status, 200)
    }
    for (const { digest } of kept.blobs) {
      const blob = await registry.request('GET', `/v2/kept/blobs/${digest}`)
      assert.equal(blob.status === 200 && digestOf(blob.body), digest)
    }
  }

  const databases: [name: string, tear: (copy: string) => Promise<void>, reason?: RegExp][] = [
    ['as it came', () => Promise.resolve()],
    [
      'database cut in the middle of a page',
      async (copy) => {
        const path = join(copy, 'metadata.db')
        const pages = Math.floor((await stat(path)).size / pageBytes)
        await truncate(path, (pages >> 1) * pageBytes + 1000)
      },
      /is damaged: /,
    ],
    [
      'database with zeros from the middle of a page on',
      async (copy) => {
        const path = join(copy, 'metadata.db')
        const bytes = await readFile(path)
        await writeFile(path, bytes.fill(0, 5 * pageBytes + 1000))
      },
      /is damaged: /,
    ],
    [
      'database whose index has not what its table has',
      (copy) => {
        const database = new DatabaseSync(join(copy, 'metadata.db'), { defensive: false })
        database.exec(`
          pragma writable_schema = on;
          update sqlite_schema set sql = replace(sql, '"digest", "repository_id"', '"repository_id", "digest"')
          where name = 'repository_blobs_by_digest'`)
        database.close()
        return Promise.resolve()
      },
      /is damaged: /,
    ],
    [
      'database that was not copied',
      (copy) => rm(join(copy, 'metadata.db')),
      /is missing: it is made anew/,
    ],
    [
      'database without a byte',
      (copy) => truncate(join(copy, 'metadata.db'), 0),
      /is empty; the file is kept as /,
    ],
    [
      'database without tables, which were in the log',
      async (copy) => {
        await rm(join(copy, 'metadata.db'))
        const database = new DatabaseSync(join(copy, 'metadata.db'))
        database.exec('pragma journal_mode = wal; vacuum')
        database.close()
      },
      /is damaged: it has no tables; the file is kept as /,
    ],
  ]
  for (const [name, tear, reason] of databases) {
    test(`${name}: one command makes it consistent, and all that was there before is there`, async () => {
      const copy = await takeCopy(name)
      if (reason !== undefined) {
        await emptyLog(copy)
        await tear(copy)
      }
      const { items, report } = await repair(copy)
      const aside = items.filter(({ problem }) => problem === 'database')
      if (reason !== undefined) {
        assert.match(aside.map(({ message }) => message).join(), reason)
        assert.ok(report.rebuilt)
      }
      for (const { path } of aside) {
        if (path !== undefined) assert.ok((await stat(path)).isFile(), 'the old file is kept')
      }
      const others = items.filter((item) => !aside.includes(item))
      assert.ok(
        !others.some((item) => JSON.stringify(item).includes('"kept"')),
        'nothing of it lost',
      )
      const again = await repair(copy)
      assert.equal(again.report.rebuilt, undefined)
      assert.deepEqual(
        [again.report.problems['corrupt'], again.report.problems['references']],
        [0, 0],
      )
      await using registry = await startRegistry({ dataDirectory: copy })
      await assertKept(registry)
      await assertConsistent(registry)
    })
  }

  test('is not taken for an empty registry by a start, whatever of the database was copied', async () => {
    const copy = await takeCopy('no tables')
    await removeLog(copy)
    await rm(join(copy, 'metadata.db'))
    new DatabaseSync(join(copy, 'metadata.db')).exec('pragma journal_mode = wal; vacuum')
    for (const links of ['there', 'gone']) {
      if (links === 'gone') await rm(join(copy, 'links.log'))
      const { code, stderr } = await failedStart(copy)
      assert.equal(code, 1)
      assert.match(
        stderr,
        /has no tables, but there is content that it knew; nothing was changed: /,
      )
      assert.match(stderr, links === 'gone' ? /restore a backup/ : /trow scrub --rebuild/)
    }
  })

  test('with links that were lost as well: no content goes before somebody looked', async () => {
    const copy = await takeCopy('links cut')
    const links = join(copy, 'links.log')
    await removeLog(copy)
    await rm(join(copy, 'metadata.db'))
    await truncate(links, (await stat(links)).size >> 1)
    const layout = new DataLayout(copy)
    const lost = digestOf(Buffer.from('what a lost link told of'))
    await writeFile(layout.blob(lost), 'what a lost link told of')
    await utimes(layout.blob(lost), 1, 1)
    const first = await repair(copy)
    const orphan = first.items.find(({ digest }) => digest === lost)
    assert.match(orphan?.message ?? '', /it stays for this time, as the database was made anew/)
    assert.ok((await stat(layout.blob(lost))).isFile())
    await repair(copy)
    await assert.rejects(stat(layout.blob(lost)), { code: 'ENOENT' })
    await rm(join(copy, 'metadata.db'))
    await truncate(links, 0)
    for (const flag of ['--repair', '--rebuild']) {
      const { code, stderr } = await runTrow(['scrub', flag, '--data-dir', copy])
      assert.equal(code, 1)
      assert.match(
        stderr,
        /has no links, from which the database could be made: .*nothing was changed/,
      )
    }
  })

  test('with torn blobs and a torn database: what is lost is told, and a push brings it back', async () => {
    const copy = await takeCopy('torn blobs')
    const layout = new DataLayout(copy)
    await removeLog(copy)
    await truncate(join(copy, 'metadata.db'), 3 * pageBytes + 1)
    const [cut, flipped] = kept.blobs.map(({ digest }) => digest as Digest)
    assert.ok(cut && flipped)
    await truncate(layout.blob(cut), 10)
    const bytes = await readFile(layout.blob(flipped))
    await writeFile(layout.blob(flipped), bytes.fill(0, 5))
    const { items, report } = await repair(copy)
    const told = items.filter(({ problem }) => problem === 'corrupt').map(({ digest }) => digest)
    assert.deepEqual(new Set(told), new Set([cut, flipped]))
    assert.ok(report.rebuilt && report.unrepaired >= 2)
    const names = await readdir(layout.quarantine)
    assert.ok([cut, flipped].every((digest) => names.includes(digest.replace(':', '-'))))
    await using registry = await startRegistry({ dataDirectory: copy })
    await assertConsistent(registry)
    for (const digest of [cut, flipped]) {
      assert.equal((await registry.request('HEAD', `/v2/kept/blobs/${digest}`)).status, 404)
    }
    await registry.push('kept', 'v1', kept)
    await assertKept(registry)
  })
})

interface Item {
  readonly problem?: string
  readonly digest?: string
  readonly message: string
  readonly path?: string
}

interface Report {
  readonly unrepaired: number
  readonly problems: Readonly<Record<string, number>>
  readonly rebuilt?: object
}
