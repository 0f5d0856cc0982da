// What other programs do to the metadata database: lock it, damage it, replace it, under a registry
// that runs and before it starts. Nobody waits for a lock but who writes; nothing is acknowledged that
// the next start would not find; and what is put back is found without a restart.

import assert from 'node:assert/strict'
import {
  copyFileSync,
  cpSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { failedStart } from '../support/failed-start.ts'
import type { Reply } from '../support/http-client.ts'
import type { Content } from '../support/image-fixture.ts'
import { assertError, makeBlob, ociManifest, pushTag } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary-directory.ts'
import { until } from '../support/until.ts'

const repository = 'database/any'
const blob = makeBlob('in the database', 10_000)
/** Of SQLite. */
const pageBytes = 4096

let registry: Registry
let manifest: Content
before(async () => {
  registry = await startRegistry()
  await registry.pushBlob(repository, blob)
  manifest = await pushTag(registry, repository, 'v1')
  for (let number = 2; number < 40; number += 1) await pushTag(registry, repository, `v${number}`)
})
after(() => registry[Symbol.asyncDispose]())

function file(suffix = ''): string {
  return join(registry.dataDirectory, `metadata.db${suffix}`)
}

function putTag(tag: string): Promise<Reply> {
  const headers = { 'content-type': ociManifest }
  const path = `/v2/${repository}/manifests/${tag}`
  return registry.request('PUT', path, { body: manifest.bytes, headers })
}

function assertUnavailable(reply: Reply, message: RegExp): void {
  assertError(reply, 503, 'UNAVAILABLE')
  assert.match(reply.body.toString(), message)
}

async function assertServed(): Promise<void> {
  const got = await registry.request('GET', `/v2/${repository}/blobs/${blob.digest}`)
  assert.ok(got.body.equals(blob.bytes), `blob: ${got.status}`)
  const tag = await registry.request('GET', `/v2/${repository}/manifests/v7`)
  assert.equal(tag.status, 200)
  assert.equal((await registry.request('GET', '/healthz')).status, 200)
}

async function assertReadiness(status: number, message = /./): Promise<void> {
  const reply = await until(`readiness is ${status}`, async () => {
    const probe = await registry.request('GET', '/readiness')
    return probe.status === status && probe
  })
  assert.match(reply.body.toString(), message)
}

describe('a database that another program has locked', () => {
  test('is waited for by pushes, while pulls and probes go on', async () => {
    const other = new DatabaseSync(file())
    other.exec('BEGIN IMMEDIATE')
    const pushes = [putTag('waits-1'), putTag('waits-2'), putTag('waits-3')]
    const started = performance.now()
    for (let round = 0; round < 5; round += 1) await assertServed()
    // Each push alone would hold up everybody for seconds, if the whole process waited.
    assert.ok(performance.now() - started < 4_000)
    other.exec('ROLLBACK')
    other.close()
    for (const push of await Promise.all(pushes)) assert.equal(push.status, 201)
  })

  test('for long refuses pushes, all of them soon, and takes them again after', async () => {
    const other = new DatabaseSync(file())
    other.exec('BEGIN IMMEDIATE')
    const started = performance.now()
    const pushes = Array.from({ length: 10 }, (_, index) => putTag(`locked-${index}`))
    for (const push of await Promise.all(pushes)) {
      assertUnavailable(push, /locked by another program/)
    }
    assert.ok(performance.now() - started < 15_000)
    await assertReadiness(503, /database: .*locked/)
    await assertServed()
    other.exec('ROLLBACK')
    other.close()
    await assertReadiness(200)
    assert.equal((await putTag('unlocked')).status, 201)
    assert.equal(
      (await registry.request('HEAD', `/v2/${repository}/manifests/locked-1`)).status,
      404,
    )
  })
})

describe('a database that is damaged while the registry runs', () => {
  const damages: [name: string, damage: () => void][] = [
    ['emptied', () => truncateSync(file(), 0)],
    ['cut short', () => truncateSync(file(), 5 * pageBytes)],
    ['cut in its last page', () => truncateSync(file(), statSync(file()).size - pageBytes / 2)],
    ['overwritten', () => writeFileSync(file(), Buffer.alloc(statSync(file()).size, 'garbage!'))],
  ]
  for (const [name, damage] of damages) {
    test(`${name}: everything that needs it is 503, until it is put back`, async () => {
      // What is in the -wal file would be read from there.
      const other = new DatabaseSync(file())
      other.exec('PRAGMA wal_checkpoint(TRUNCATE)')
      other.close()
      copyFileSync(file(), file('.saved'))
      damage()
      for (let round = 0; round < 2; round += 1) {
        const got = await registry.request('GET', `/v2/${repository}/tags/list`)
        assertUnavailable(got, /the metadata database is damaged/)
        assertUnavailable(await putTag('damaged'), /the metadata database is damaged/)
        assert.equal((await registry.request('GET', '/healthz')).status, 200)
      }
      await assertReadiness(503, /database: .*damaged/)
      // In place, as `cp` and editors do.
      writeFileSync(file(), readFileSync(file('.saved')))
      await assertReadiness(200)
      await assertServed()
      assert.equal((await putTag(`repaired-${name.replaceAll(' ', '-')}`)).status, 201)
      const head = await registry.request('HEAD', `/v2/${repository}/manifests/damaged`)
      assert.equal(head.status, 404)
    })
  }

  test('replaced or removed: nothing is acknowledged that the next start would not find', async () => {
    for (const replacement of [undefined, readFileSync(file())]) {
      renameSync(file(), file('.away'))
      if (replacement !== undefined) writeFileSync(file(), replacement)
      assertUnavailable(await putTag('lost'), /was replaced or removed while Trow runs/)
      await assertReadiness(503, /database: .*replaced or removed/)
      await assertServed()
      renameSync(file('.away'), file())
      await assertReadiness(200)
      assert.equal((await putTag('kept')).status, 201)
    }
    await registry.restart()
    assert.equal((await registry.request('HEAD', `/v2/${repository}/manifests/kept`)).status, 200)
    assert.equal((await registry.request('HEAD', `/v2/${repository}/manifests/lost`)).status, 404)
  })
})

describe('a data directory with a database that cannot be used', () => {
  let directory: TemporaryDirectory
  let copy: string
  let sound: Buffer
  before(async () => {
    await registry.stop()
    directory = await temporaryDirectory()
    copy = join(directory.path, 'data')
    cpSync(registry.dataDirectory, copy, { recursive: true })
    sound = readFileSync(join(copy, 'metadata.db'))
  })
  after(async () => {
    await directory[Symbol.asyncDispose]()
    await registry.start()
  })

  const cases: [name: string, damage: () => Buffer, message: RegExp][] = [
    [
      'empty',
      () => Buffer.alloc(0),
      /is empty, but there is content that it knew; .* run: trow scrub --rebuild/,
    ],
    [
      'cut short',
      () => sound.subarray(0, 40_960),
      /malformed; run: trow scrub --rebuild --data-dir/,
    ],
    [
      'cut in its last page',
      () => sound.subarray(0, sound.length - pageBytes / 2),
      /its file was cut short; run: trow scrub --rebuild --data-dir/,
    ],
    [
      'something else',
      () => Buffer.alloc(100_000, 'garbage!'),
      /file is not a database; run: trow scrub --rebuild --data-dir/,
    ],
    [
      'damaged in the middle',
      () => Buffer.from(sound).fill('x', 8_192),
      /malformed; run: trow scrub --rebuild --data-dir/,
    ],
  ]
  for (const [name, damage, message] of cases) {
    test(`${name}: is one line on standard error and exit code 1, and is left as it is`, async () => {
      const database = join(copy, 'metadata.db')
      const damaged = damage()
      writeFileSync(database, damaged)
      const { code, stderr } = await failedStart(copy)
      assert.equal(code, 1, stderr)
      assert.match(stderr, message)
      assert.match(stderr, /^trow: [^\n]*\n$/)
      assert.ok(readFileSync(database).equals(damaged))
    })
  }

  test('its lock file is something else: the line says what to do', async () => {
    writeFileSync(join(copy, 'lock'), 'what is this?')
    const { code, stderr } = await failedStart(copy)
    assert.equal(code, 1)
    assert.match(stderr, /^trow: cannot lock .*remove .*lock and start again\n$/)
  })
})
