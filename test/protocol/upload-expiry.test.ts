/**
 * Idle sessions go: the same session, store and database as in the program, with a clock that the
 * test moves, as nobody wants to wait a day.
 */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openSqlite } from '../../src/metadata/sqlite.ts'
import { SqlMetadataStore } from '../../src/metadata/sql-metadata-store.ts'
import { parseRepositoryName } from '../../src/oci/repository-name.ts'
import { ContentLocks } from '../../src/registry/content-locks.ts'
import { UploadExpiry } from '../../src/registry/upload-expiry.ts'
import { Uploads } from '../../src/registry/uploads.ts'
import { DataDirectory } from '../../src/storage/filesystem/data-directory.ts'
import { SharedReads } from '../../src/storage/filesystem/shared-reads.ts'
import { FilesystemUploadStore } from '../../src/storage/filesystem/upload-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { silentLog } from '../support/request-context.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const hour = 3_600_000
const repository = parseRepositoryName('idle/any')

async function openUploads() {
  await using resources = new AsyncDisposableStack()
  const directory = resources.use(await temporaryDirectory())
  const { layout } = resources.use(await DataDirectory.open(join(directory.path, 'data')))
  const databases = resources.use(await openSqlite(layout.database))
  const clock = new FakeClock()
  const monotonicClock = { now: () => clock.now() - jumpedMs }
  let jumpedMs = 0
  const reads = new SharedReads({ bytes: 1 << 16, idleBytesMax: 1 << 17 })
  const stores = {
    metadata: new SqlMetadataStore(databases, clock),
    uploads: new FilesystemUploadStore(layout, reads, { writeBytes: 1 << 16 }),
    locks: new ContentLocks(),
    clock,
  }
  const uploads = new Uploads(stores, { digestersMax: 10 })
  const settings = { intervalSeconds: 3_600, perRunMax: 2 }
  const parts = { uploads, clock, monotonicClock, log: silentLog }
  const expiry = resources.use(new UploadExpiry(parts, 24 * 3_600, settings))
  const kept = resources.move()
  return {
    clock,
    uploads,
    expiry,
    /** Moves the time of day, and no time passes. */
    jump: (milliseconds: number) => {
      jumpedMs += milliseconds
      clock.advance(milliseconds)
    },
    staged: () => readdir(layout.uploads),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

type Opened = Awaited<ReturnType<typeof openUploads>>

async function* body(text: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text))
}

async function startWithBytes({ uploads }: Opened): Promise<string> {
  const { id } = await uploads.startUpload(repository, 'sha256')
  await uploads.appendToUpload(repository, id, { bytes: body('some bytes') })
  return id
}

const isUnknown = { code: 'BLOB_UPLOAD_UNKNOWN' }

test('a session that nothing was sent to for the idle time is removed with its bytes', async () => {
  await using opened = await openUploads()
  const id = await startWithBytes(opened)
  opened.clock.advance(24 * hour)
  await opened.expiry.run()
  assert.equal((await opened.uploads.getUpload(repository, id)).offset, 10)
  opened.clock.advance(1)
  await opened.expiry.run()
  await assert.rejects(opened.uploads.getUpload(repository, id), isUnknown)
  assert.deepEqual(await opened.staged(), [])
})

test('a session that something is sent to now and then stays', async () => {
  await using opened = await openUploads()
  const id = await startWithBytes(opened)
  for (let round = 0; round < 5; round += 1) {
    opened.clock.advance(23 * hour)
    await opened.uploads.appendToUpload(repository, id, { bytes: body('x') })
    await opened.expiry.run()
  }
  assert.equal((await opened.uploads.getUpload(repository, id)).offset, 15)
})

test('a session that is being written to stays, however slow its client is', async () => {
  await using opened = await openUploads()
  const { id } = await opened.uploads.startUpload(repository, 'sha256')
  const { promise: more, resolve: sendMore } = Promise.withResolvers<void>()
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  async function* slowly(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('slow')
    begin()
    await more
    yield Buffer.from('ly')
  }
  const appending = opened.uploads.appendToUpload(repository, id, { bytes: slowly() })
  await begun
  opened.clock.advance(48 * hour)
  await opened.expiry.run()
  sendMore()
  assert.equal((await appending).offset, 6)
  await opened.expiry.run()
  assert.equal((await opened.uploads.getUpload(repository, id)).offset, 6)
})

test('so many at a time are removed, the oldest first, until none is left', async () => {
  await using opened = await openUploads()
  const ids: string[] = []
  for (let index = 0; index < 5; index += 1) {
    ids.push(await startWithBytes(opened))
    opened.clock.advance(1)
  }
  opened.clock.advance(25 * hour)
  for (const left of [ids.slice(2), ids.slice(4), []]) {
    await opened.expiry.run()
    assert.deepEqual((await opened.staged()).sort(), left.toSorted())
  }
})

test('another idle time counts from the next run on', async () => {
  await using opened = await openUploads()
  await startWithBytes(opened)
  opened.clock.advance(2 * hour)
  await opened.expiry.run()
  assert.equal((await opened.staged()).length, 1)
  opened.expiry.setIdleSeconds(3_600)
  await opened.expiry.run()
  assert.deepEqual(await opened.staged(), [])
})

test('a clock that jumps forward ends no session, and one that is idle goes later', async () => {
  await using opened = await openUploads()
  const id = await startWithBytes(opened)
  opened.jump(1_000 * hour)
  await opened.expiry.run()
  assert.equal((await opened.uploads.getUpload(repository, id)).offset, 10)
  opened.clock.advance(23 * hour)
  await opened.expiry.run()
  assert.equal((await opened.staged()).length, 1)
  opened.clock.advance(2 * hour)
  await opened.expiry.run()
  assert.deepEqual(await opened.staged(), [])
})

test('a clock that jumps back and forth ends no session that is written to', async () => {
  await using opened = await openUploads()
  const id = await startWithBytes(opened)
  for (const hours of [-100, 200, -300, 400]) {
    opened.jump(hours * hour)
    await opened.expiry.run()
    await opened.uploads.appendToUpload(repository, id, { bytes: body('x') })
  }
  assert.equal((await opened.uploads.getUpload(repository, id)).offset, 14)
})
