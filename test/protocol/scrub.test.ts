// Damage on the disk: found, put aside, never served, and healed by a push; and the database lost, with all
// that it knew brought back from what lies beside it.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import type { Digest } from '../../src/oci/digest.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { LinkLog } from '../../src/storage/filesystem/link-log.ts'
import { failedStart } from '../support/failed-start.ts'
import { imageFixture, type ImageFixture } from '../support/image-fixture.ts'
import { runTrow, startTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

interface Pushed {
  readonly repository: string
  readonly tags: readonly string[]
  readonly image: ImageFixture
}

const app = imageFixture({ seed: 1, layers: 2, platforms: ['linux/amd64', 'linux/arm64'] })
const images: readonly Pushed[] = [
  { repository: 'team/app', tags: ['v1', 'V1', 'Latest_2.0'], image: app },
  { repository: 'team/app/deep', tags: ['v1'], image: imageFixture({ seed: 2 }) },
  { repository: 'other', tags: ['x'], image: imageFixture({ seed: 3, layers: 1 }) },
  // A referrer, without a tag that matters.
  { repository: 'team/app', tags: ['sig'], image: imageFixture({ seed: 4, subject: app.root }) },
]

async function pushAll(registry: Registry): Promise<void> {
  for (const { repository, tags, image } of images) {
    for (const tag of tags) await registry.push(repository, tag, image)
  }
}

/** Everything that clients can ask for, as one document. */
async function answers(registry: Registry): Promise<object> {
  const found: Record<string, unknown> = {}
  const get = async (path: string): Promise<void> => {
    const reply = await registry.request('GET', path)
    const type = reply.headers['content-type'] ?? ''
    found[path] = [reply.status, type, digestOf(reply.body)]
  }
  await get('/v2/_catalog')
  for (const { repository, tags, image } of images) {
    await get(`/v2/${repository}/tags/list`)
    await get(`/v2/${repository}/referrers/${image.root.digest}`)
    for (const tag of tags) await get(`/v2/${repository}/manifests/${tag}`)
    for (const { digest } of image.manifests) await get(`/v2/${repository}/manifests/${digest}`)
    for (const { digest } of image.blobs) await get(`/v2/${repository}/blobs/${digest}`)
  }
  return found
}

async function restarted(registry: Registry): Promise<Registry> {
  await registry.restart()
  return registry
}

async function removeDatabase(directory: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) {
    await rm(join(directory, `metadata.db${suffix}`), { force: true })
  }
}

function rebuild(directory: string) {
  return runTrow(['scrub', '--rebuild', '--data-dir', directory])
}

describe('a database that is lost', () => {
  test('is made anew, and every answer is as it was', async () => {
    await using registry = await startRegistry()
    await pushAll(registry)
    await registry.push('team/app', 'moved', imageFixture({ seed: 5 }))
    await registry.push('team/app', 'moved', app)
    const gone = imageFixture({ seed: 6 })
    await registry.push('gone', 'v1', gone)
    await registry.request('DELETE', `/v2/gone/manifests/${gone.root.digest}`)
    await registry.push('removed', 'v1', imageFixture({ seed: 7 }))
    const removed = await runTrow(['rm', '--yes', `${registry.host}/removed`])
    assert.equal(removed.code, 0, removed.stderr)
    await registry.push('team/app', 'untagged', app)
    await registry.request('DELETE', '/v2/team/app/manifests/untagged')
    const before = await answers(registry)
    await registry.stop()
    await removeDatabase(registry.dataDirectory)
    const { code, stdout, stderr } = await rebuild(registry.dataDirectory)
    assert.equal(code, 0, stderr)
    assert.match(stdout, /the database is made anew: 4 repositories, 7 manifests, 7 tags/)
    await registry.restart()
    assert.deepEqual(await answers(registry), before)
    const moved = await registry.request('GET', '/v2/team/app/manifests/moved')
    assert.equal(moved.header('docker-content-digest'), app.root.digest)
    assert.equal((await registry.request('GET', '/v2/removed/tags/list')).status, 404)
    for (const path of ['/v2/gone/manifests/v1', '/v2/team/app/manifests/untagged']) {
      assert.equal((await registry.request('GET', path)).status, 404, path)
    }
  })

  test('brings nothing back that was removed just before the process was killed', async () => {
    await using registry = await startRegistry()
    await pushAll(registry)
    for (const target of ['other:x', 'team/app/deep']) {
      const removed = await runTrow(['rm', '--yes', `${registry.host}/${target}`])
      assert.equal(removed.code, 0, removed.stderr)
    }
    await registry.kill()
    await removeDatabase(registry.dataDirectory)
    assert.equal((await rebuild(registry.dataDirectory)).code, 0)
    await registry.restart()
    for (const path of ['/v2/other/manifests/x', '/v2/team/app/deep/tags/list']) {
      assert.equal((await registry.request('GET', path)).status, 404, path)
    }
  })

  test('does not become an empty registry, whose scrub would remove everything', async () => {
    await using registry = await startRegistry()
    await pushAll(registry)
    const before = await answers(registry)
    await registry.stop()
    const { dataDirectory } = registry
    await removeDatabase(dataDirectory)
    assert.match(
      (await failedStart(dataDirectory)).stderr,
      /metadata\.db is missing, but .*--rebuild/,
    )
    const scrubbed = await runTrow(['scrub', '--data-dir', dataDirectory])
    assert.equal(scrubbed.code, 1)
    assert.match(scrubbed.stderr, /metadata\.db is missing/)
    const repaired = await runTrow(['scrub', '--repair', '--data-dir', dataDirectory])
    assert.equal(repaired.code, 0, repaired.stderr)
    assert.match(
      repaired.stdout,
      /metadata\.db is missing: it is made anew .*\nthe database is made anew: .*\n.* all is well\n/,
    )
    await registry.restart()
    assert.deepEqual(await answers(registry), before)
  })

  test('has all that was acknowledged, although the process was killed', async () => {
    await using registry = await startRegistry()
    await pushAll(registry)
    const before = await answers(registry)
    await registry.kill()
    await removeDatabase(registry.dataDirectory)
    assert.equal((await rebuild(registry.dataDirectory)).code, 0)
    await registry.restart()
    assert.deepEqual(await answers(registry), before)
  })

  test('is put aside where it is only damaged, and nothing starts before it is made anew', async () => {
    await using registry = await startRegistry()
    await pushAll(registry)
    const before = await answers(registry)
    await registry.stop()
    const { dataDirectory } = registry
    await writeFile(
      join(dataDirectory, 'metadata.db'),
      'this is no database, and it is long enough',
    )
    const refused = await failedStart(dataDirectory)
    assert.match(refused.stderr, /metadata\.db cannot be opened/)
    // Killed as soon as it has begun.
    const killed = startTrow(['scrub', '--rebuild', '--data-dir', dataDirectory])
    await until('it has begun', () =>
      Promise.resolve(existsSync(join(dataDirectory, 'incomplete.json'))),
    )
    killed.signal('SIGKILL')
    await killed.result
    if (existsSync(join(dataDirectory, 'incomplete.json'))) {
      const half = await failedStart(dataDirectory)
      assert.match(half.stderr, /trow scrub --rebuild did not finish; .*run it again/)
    }
    assert.equal((await rebuild(dataDirectory)).code, 0)
    const aside = await readdir(join(dataDirectory, 'quarantine'))
    assert.ok(aside.some((name) => /^metadata-.*\.db$/.test(name)))
    await registry.restart()
    assert.deepEqual(await answers(registry), before)
  })

  for (const [how, lose] of [
    ['missing', rm],
    ['emptied', truncate],
  ] as const) {
    test(`can be made anew after links that were ${how} came back by themselves`, async () => {
      await using registry = await startRegistry()
      await pushAll(registry)
      const before = await answers(registry)
      await registry.stop()
      const links = join(registry.dataDirectory, 'links.log')
      await lose(links)
      const refused = await rebuild(registry.dataDirectory)
      assert.match(refused.stderr, /has no links, from which the database could be made/)
      await registry.restart()
      await until('the links are back', async () =>
        (await readFile(links, 'utf8')).includes('"other","x"'),
      )
      await registry.stop()
      await removeDatabase(registry.dataDirectory)
      assert.equal((await rebuild(registry.dataDirectory)).code, 0)
      await registry.restart()
      assert.deepEqual(await answers(registry), before)
    })
  }

  test('comes back as it was, without what the links had beside it before they were repaired', async () => {
    await using registry = await startRegistry()
    await pushAll(registry)
    await registry.stop()
    const links = join(registry.dataDirectory, 'links.log')
    const text = await readFile(links, 'utf8')
    const [line = ''] = text.split('\n').filter((known) => known.includes('"other","x"'))
    {
      await using log = await LinkLog.open(links)
      const [, , digest, mediaType] = JSON.parse(line.slice(0, line.lastIndexOf(' '))) as string[]
      const ghost = { repository: 'ghost', reference: 'v1', digest, mediaType }
      await log.append([ghost as never])
    }
    const args = ['--data-dir', registry.dataDirectory]
    assert.equal((await runTrow(['scrub', '--repair', ...args])).code, 0)
    assert.doesNotMatch(await readFile(links, 'utf8'), /ghost/)
    const both = await runTrow(['scrub', '--repair', '--rebuild', ...args])
    assert.equal(both.code, 2)
    assert.match(both.stderr, /do not go together/)
    const before = await answers(await restarted(registry))
    await registry.stop()
    await removeDatabase(registry.dataDirectory)
    assert.equal((await rebuild(registry.dataDirectory)).code, 0)
    assert.deepEqual(await answers(await restarted(registry)), before)
  })

  test('whose content is lost as well: the rest comes back, and what is missing is told', async () => {
    await using registry = await startRegistry()
    await pushAll(registry)
    await registry.stop()
    const layout = new DataLayout(registry.dataDirectory)
    const [layer] = images[2]?.image.blobs ?? []
    assert.ok(layer)
    await rm(layout.blob(layer.digest as Digest))
    await removeDatabase(registry.dataDirectory)
    const { code, stdout } = await rebuild(registry.dataDirectory)
    assert.equal(code, 1)
    assert.ok(
      stdout.includes(`what it needs is lost: ${layer.digest}; push the image again`),
      stdout,
    )
    await registry.restart()
    assert.equal((await registry.request('GET', '/v2/other/manifests/x')).status, 200)
    await registry.push('other', 'x', images[2]?.image ?? app)
    await registry.stop()
    const checked = await runTrow(['scrub', '--data-dir', registry.dataDirectory])
    assert.match(checked.stdout, /all is well/)
  })
})

describe('damaged content', () => {
  const image = imageFixture({ seed: 9, layers: 3 })
  const [flipped, cut, lost] = image.blobs.map(({ digest }) => digest as Digest)
  assert.ok(flipped && cut && lost)

  async function damage(directory: string): Promise<void> {
    const layout = new DataLayout(directory)
    const bytes = await readFile(layout.blob(flipped as Digest))
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    await writeFile(layout.blob(flipped as Digest), bytes)
    await truncate(layout.blob(cut as Digest), 10)
    await rm(layout.blob(lost as Digest))
    const orphan = layout.blob(digestOf(Buffer.from('orphan')))
    await writeFile(orphan, 'orphan')
    await utimes(orphan, 1, 1)
  }

  async function statuses(registry: Registry): Promise<number[]> {
    const replies = [flipped, cut, lost].map(
      async (digest) => (await registry.request('HEAD', `/v2/app/blobs/${digest}`)).status,
    )
    return await Promise.all(replies)
  }

  test('is found, put aside, not served, and healed by a push', async () => {
    await using registry = await startRegistry()
    await registry.push('app', 'v1', image)
    await registry.stop()
    await damage(registry.dataDirectory)
    const looked = await runTrow([
      'scrub',
      '--data-dir',
      registry.dataDirectory,
      '--format',
      'json',
    ])
    assert.equal(looked.code, 1, looked.stderr)
    const last = looked.stdout.trim().split('\n').at(-1) ?? ''
    const { report } = JSON.parse(last) as {
      report: { problems: Record<string, number>; unrepaired: number }
    }
    assert.deepEqual(report.problems, {
      database: 0,
      corrupt: 2,
      missing: 1,
      orphan: 1,
      incomplete: 0,
      references: 0,
      unreadable: 0,
    })
    assert.equal(report.unrepaired, 4)
    const repaired = await runTrow(['scrub', '--repair', '--data-dir', registry.dataDirectory])
    assert.equal(repaired.code, 1, 'what was pushed here comes back by a push only')
    assert.match(repaired.stdout, new RegExp(`corrupt: ${flipped} \\(app\\): .*; push it again`))
    const aside = await readdir(join(registry.dataDirectory, 'quarantine'))
    assert.deepEqual(aside.toSorted(), [flipped, cut].map((d) => d.replace(':', '-')).toSorted())
    await registry.restart()
    assert.deepEqual(await statuses(registry), [404, 404, 404])
    const [, , manifest = image.manifests[0]] = image.manifests
    const early = await registry.request('PUT', '/v2/app/manifests/early', {
      body: manifest?.bytes ?? '',
      headers: { 'content-type': manifest?.mediaType },
    })
    assert.deepEqual([early.status, early.codes()], [404, ['MANIFEST_BLOB_UNKNOWN']])
    await registry.push('app', 'v1', image)
    assert.deepEqual(await statuses(registry), [200, 200, 200])
    await registry.stop()
    const healed = await runTrow(['scrub', '--data-dir', registry.dataDirectory])
    assert.deepEqual([healed.code, healed.stderr], [0, ''])
    assert.match(healed.stdout, /checked: all is well/)
  })

  test('is found in a running Trow, which goes on serving the rest', async () => {
    const user = { name: 'ann', password: 's3cret' }
    await using registry = await startRegistry({ user, anonymousPull: true })
    await registry.push('app', 'v1', image)
    await damage(registry.dataDirectory)
    const anonymous = await registry.request('POST', '/api/scrub', { anonymous: true })
    assert.equal(anonymous.status, 401)
    const args = ['scrub', registry.url, '-u', user.name, '-p', user.password, '--repair']
    const { code, stdout } = await runTrow(args)
    assert.equal(code, 1)
    assert.match(stdout, /2 corrupt, 1 missing, 1 orphan/)
    assert.deepEqual(await statuses(registry), [404, 404, 404])
    const metrics = (await registry.request('GET', '/metrics')).body.toString()
    assert.match(metrics, /trow_content_damaged_total\{found="scrub"\} 3/)
    const rate = await registry.request('POST', '/api/scrub?rate=fast')
    assert.equal(rate.status, 400)
  })

  test('in the database itself is told, and references are mended', async () => {
    await using registry = await startRegistry()
    await registry.push('app', 'v1', image)
    await registry.stop()
    const path = join(registry.dataDirectory, 'metadata.db')
    const database = new DatabaseSync(path)
    database.exec('delete from manifest_references where rowid = 1')
    database.close()
    const looked = await runTrow(['scrub', '--data-dir', registry.dataDirectory])
    assert.equal(looked.code, 1)
    assert.match(looked.stdout, /references: .*does not have what the manifest refers to/)
    const mended = await runTrow(['scrub', '--repair', '--data-dir', registry.dataDirectory])
    assert.equal(mended.code, 0, mended.stderr)
    const again = await runTrow(['scrub', '--data-dir', registry.dataDirectory])
    assert.match(again.stdout, /all is well/)
    const bytes = await readFile(path)
    bytes.fill(0xff, bytes.length - 4096)
    await writeFile(path, bytes)
    const damaged = await runTrow(['scrub', '--data-dir', registry.dataDirectory])
    assert.match(damaged.stderr, /metadata\.db is damaged: .*trow scrub --repair --data-dir/)
    assert.equal((await rebuild(registry.dataDirectory)).code, 0)
    await registry.restart()
    assert.equal((await registry.request('GET', '/v2/app/manifests/v1')).status, 200)
  })

  test('that a killed scrub was putting aside is put aside by the next one', async () => {
    await using registry = await startRegistry()
    const large = imageFixture({ seed: 11, layers: 6, layerBytes: 300_000 })
    await registry.push('app', 'v1', large)
    await registry.stop()
    const layout = new DataLayout(registry.dataDirectory)
    for (const { digest } of large.blobs) await truncate(layout.blob(digest as Digest), 7)
    const args = ['scrub', '--repair', '--data-dir', registry.dataDirectory]
    const running = startTrow(args)
    await until('one is put aside', async () => (await readdir(layout.quarantine)).length > 0)
    running.signal('SIGKILL')
    await running.result
    const { code } = await runTrow(args)
    assert.equal(code, 1)
    assert.equal((await readdir(layout.quarantine)).length, large.blobs.length)
    await registry.restart()
    await registry.push('app', 'v1', large)
    for (const { digest } of large.blobs) {
      assert.equal((await registry.request('GET', `/v2/app/blobs/${digest}`)).status, 200)
    }
  })

  test('that is cut short is put aside when somebody asks for it', async () => {
    await using registry = await startRegistry()
    await registry.push('app', 'v1', image)
    await truncate(new DataLayout(registry.dataDirectory).blob(cut), 10)
    assert.equal((await registry.request('GET', `/v2/app/blobs/${cut}`)).status, 404)
    assert.deepEqual(await readdir(join(registry.dataDirectory, 'quarantine')), [
      cut.replace(':', '-'),
    ])
    await registry.push('app', 'v1', image)
    assert.equal((await registry.request('GET', `/v2/app/blobs/${cut}`)).status, 200)
  })
})
