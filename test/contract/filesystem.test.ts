// The filesystem's stores: the contracts of blob and upload stores, and what only files can do:
// be cut short under a reader, fill the disk, lie around in the staging directory.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { chmod, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { OpenFile } from '../../src/lib/open-file.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { OciError } from '../../src/oci/errors.ts'
import type { UploadId } from '../../src/registry/ports/upload-store.ts'
import { FilesystemBlobStore } from '../../src/storage/filesystem/blob-store.ts'
import { translated } from '../../src/storage/filesystem/file-error.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { readRange } from '../../src/storage/filesystem/read-range.ts'
import { SharedReads } from '../../src/storage/filesystem/shared-reads.ts'
import { FilesystemUploadStore } from '../../src/storage/filesystem/upload-store.ts'
import { collect, inPieces, patternBytes, unobserved } from '../support/bytes.ts'
import { openFilesUnder } from '../support/open-files.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { until } from '../support/until.ts'
import { blobStoreContract } from './blob-store.ts'
import { uploadStoreContract, type UploadStoreUnderTest } from './upload-store.ts'

const bufferBytes = 16 * 1024

interface FilesystemUnderTest extends UploadStoreUnderTest {
  readonly layout: DataLayout
  readonly reads: SharedReads
}

/** A store on directories of its own. */
async function openAlone(): Promise<FilesystemUnderTest> {
  const directory = await temporaryDirectory()
  const layout = new DataLayout(directory.path)
  for (const child of layout.directories()) mkdirSync(child, { recursive: true })
  return openAt(layout, () => directory[Symbol.asyncDispose]())
}

/** Making 514 directories takes longer than most tests do, so these share some and empty them. */
const shared = await openAlone()
after(() => shared[Symbol.asyncDispose]())

function open(): Promise<FilesystemUnderTest> {
  const { layout } = shared
  const empty = (): Promise<void> => {
    for (const parent of [layout.blobs, layout.uploads]) {
      const entries = readdirSync(parent, { recursive: true, withFileTypes: true })
      for (const entry of entries.filter((entry) => !entry.isDirectory())) {
        rmSync(join(entry.parentPath, entry.name))
      }
    }
    return Promise.resolve()
  }
  return Promise.resolve(openAt(layout, empty))
}

function openAt(layout: DataLayout, dispose: () => PromiseLike<void>): FilesystemUnderTest {
  const reads = new SharedReads({ bytes: bufferBytes, idleBytesMax: 3 * bufferBytes })
  return {
    layout,
    reads,
    bufferBytes,
    blobs: new FilesystemBlobStore(layout, reads),
    uploads: new FilesystemUploadStore(layout, reads, { writeBytes: bufferBytes }),
    reopen: () => Promise.resolve(openAt(layout, dispose)),
    leaks: async () => [
      ...(await openFilesUnder(layout.root)),
      ...(await readdir(layout.uploads)),
      ...(reads.takenBytes === 0 ? [] : [`${reads.takenBytes} bytes of pieces`]),
    ],
    [Symbol.asyncDispose]: dispose,
  }
}

blobStoreContract('the filesystem', open)
uploadStoreContract('the filesystem', open)

describe('files', () => {
  const content = patternBytes(4 * bufferBytes)
  const digest = digestOf(content)

  test('a reader under which the file is cut short gets an error, and its buffers go back', async () => {
    await using store = await open()
    const { blobs, layout, reads } = store
    await blobs.putBlob(digest, content)
    {
      await using reader = await blobs.openBlob(digest)
      assert.ok(reader !== undefined)
      const reading = async (): Promise<void> => {
        for await (const chunk of reader.read()) {
          assert.ok(chunk.length > 0)
          await truncate(layout.blob(digest), 10)
        }
      }
      await assert.rejects(reading, /file ended at byte/)
      assert.equal(reads.takenBytes, 0)
    }
    assert.deepEqual(await store.leaks(), [])
  })

  test('a reader that stops midway gives its buffers back before the file is closed', async () => {
    await using store = await open()
    await store.blobs.putBlob(digest, content)
    await using reader = await store.blobs.openBlob(digest)
    assert.ok(reader !== undefined)
    for await (const chunk of reader.read()) {
      assert.equal(chunk.length, bufferBytes)
      assert.equal(store.reads.takenBytes, 2 * bufferBytes)
      break
    }
    assert.equal(store.reads.takenBytes, 0)
  })

  test('is open once for all who read it at the same time', async () => {
    await using store = await open()
    const { blobs, layout } = store
    await blobs.putBlob(digest, content)
    const first = await blobs.openBlob(digest)
    const second = await blobs.openBlob(digest)
    assert.equal((await openFilesUnder(layout.root)).length, 1)
    await first?.[Symbol.asyncDispose]()
    assert.ok(second !== undefined)
    assert.ok((await collect(second.read())).equals(content))
    await second[Symbol.asyncDispose]()
    assert.deepEqual(await store.leaks(), [])
  })

  test('is read as it is now, though somebody reads what it was before', async () => {
    await using store = await open()
    const { blobs, layout } = store
    await blobs.putBlob(digest, content)
    const other = Buffer.alloc(content.length, 'x')
    await using before = await blobs.openBlob(digest)
    assert.ok(before !== undefined)
    assert.ok((await collect(before.read())).equals(content))
    // In its place, and then in the same file.
    for (const change of ['replaced', 'written to']) {
      other.write(change)
      const path = layout.blob(digest)
      const { ctimeMs } = await stat(path)
      if (change === 'replaced') await rm(path)
      // Some systems tell times apart by milliseconds only.
      do await writeFile(path, other)
      while ((await stat(path)).ctimeMs === ctimeMs)
      await using after = await blobs.openBlob(digest)
      assert.ok(after !== undefined)
      assert.ok((await collect(after.read())).equals(other), change)
    }
    assert.ok((await collect(before.read())).equals(content))
    await rm(layout.blob(digest))
    assert.equal(await blobs.openBlob(digest), undefined)
  })

  test('a buffer that is being read into is not given to anybody else', async () => {
    const reads = new SharedReads({ bytes: bufferBytes, idleBytesMax: 4 * bufferBytes })
    const ends = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let started = 0
    const handle = {
      read: async (buffer: Buffer) => {
        started += 1
        await ends[started - 1]?.promise
        return { bytesRead: bufferBytes, buffer }
      },
    }
    const range = { start: 0, endInclusive: 4 * bufferBytes - 1 }
    const chunks = readRange({ handle, identity: 'one' }, range, reads)
    ends[0]?.resolve()
    await chunks.next()
    assert.equal(started, 2)
    const stopping = chunks.return(undefined)
    // Time enough to give the buffers back, which would be wrong now.
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(reads.takenBytes, 2 * bufferBytes)
    ends[1]?.resolve()
    await stopping
    assert.equal(reads.takenBytes, 0)
  })

  test('a file of another size than the upload is not extended by what failed', async () => {
    await using store = await open()
    const id = 'short' as UploadId
    await store.uploads.appendToUpload(id, 0, inPieces(Buffer.from('abc'), 1), unobserved)
    await assert.rejects(
      store.uploads.appendToUpload(id, 1_000, inPieces(Buffer.from('d'), 1), unobserved),
    )
    assert.equal(await readFile(store.layout.upload(id), 'latin1'), 'abc')
  })

  test('staged bytes that are gone end the session for the client: it is to start anew', async () => {
    await using store = await open()
    const source = inPieces(Buffer.from('d'), 1)
    await assert.rejects(store.uploads.appendToUpload('gone' as UploadId, 3, source, unobserved), {
      name: 'OciError',
      code: 'BLOB_UPLOAD_UNKNOWN',
    })
    assert.deepEqual(await store.leaks(), [])
  })

  test('what is left in the staging directory is listed, writes of small files too', async () => {
    await using store = await open()
    await writeFile(`${store.layout.uploads}/write-0123`, 'left by a crash')
    assert.deepEqual(await store.uploads.listUploads(), ['write-0123'])
    await store.uploads.deleteUpload('write-0123' as UploadId)
    assert.deepEqual(await store.uploads.listUploads(), [])
  })

  test('a source is told to stop when the bytes cannot be written', async () => {
    await using store = await open()
    let stopped = false
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield patternBytes(bufferBytes)
      } finally {
        stopped = true
      }
    }
    let told = 0
    const append = store.uploads.appendToUpload('a' as UploadId, 0, endless(), {
      onBytes: () => {
        told += 1
        if (told > 3) throw new Error('no more')
      },
    })
    await assert.rejects(append, /no more/)
    assert.equal(stopped, true)
    await store.uploads.deleteUpload('a' as UploadId)
    assert.deepEqual(await store.leaks(), [])
  })
})

test('an upload whose bytes were lost while more arrived has failed, though the last sync succeeds', async (t) => {
  await using store = await open()
  const { layout, reads } = store
  const id = 'lost' as UploadId
  const settings = { writeBytes: 1_000, syncBytes: 5_000, syncsAtOnce: 1 }
  const uploads = new FilesystemUploadStore(layout, reads, settings)
  const broken = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })
  const syncs = t.mock.method(OpenFile.prototype, 'datasync')
  syncs.mock.mockImplementationOnce(() => Promise.reject(broken))
  const pieces = inPieces(patternBytes(5_000), 1_000)
  await assert.rejects(uploads.appendToUpload(id, 0, pieces, unobserved), /disk reports an error/)
  assert.equal((await stat(layout.upload(id))).size, 0)
  assert.equal(syncs.mock.callCount(), 1)
  const again = inPieces(patternBytes(5_000), 1_000)
  assert.equal((await uploads.appendToUpload(id, 0, again, unobserved)).appended, 5_000)
  await uploads.deleteUpload(id)
})

describe('memory', () => {
  const range = { start: 0, endInclusive: 10 * bufferBytes - 1 }
  const handle = {
    read: (buffer: Buffer, _start: number, length: number) =>
      Promise.resolve({ bytesRead: length, buffer }),
  }
  let files = 0
  /** Each has a file of its own. */
  const readAlone = (reads: SharedReads): AsyncGenerator<Uint8Array> => {
    files += 1
    return readRange({ handle, identity: `${files}` }, range, reads)
  }

  test('of readers is bounded: beyond it they read with small buffers, all of it', async () => {
    const takenBytesMax = 4 * bufferBytes
    const bytesMin = bufferBytes / 16
    const settings = { bytes: bufferBytes, idleBytesMax: 2 * bufferBytes, takenBytesMax }
    const reads = new SharedReads({ ...settings, bytesMin })
    const slow = Array.from({ length: 20 }, () => readAlone(reads))
    const lengths: number[] = []
    for (const reader of slow) lengths.push((await reader.next()).value?.length ?? 0)
    assert.equal(lengths[0], bufferBytes)
    assert.deepEqual(
      lengths,
      lengths.toSorted((a, b) => b - a),
    )
    assert.equal(lengths.at(-1), bytesMin)
    const beyond = lengths.filter((length) => length === bytesMin).length
    assert.ok(reads.takenBytes <= takenBytesMax + 2 * beyond * bytesMin)
    let rest = 0
    const last = slow.at(-1)
    assert.ok(last !== undefined)
    for await (const chunk of last) rest += chunk.length
    assert.equal(rest, 10 * bufferBytes - bytesMin)
    // With the slow ones gone there are large ones again.
    for (const reader of slow) await reader.return(undefined)
    const next = await readAlone(reads).next()
    assert.equal(next.value?.length, bufferBytes)
  })

  test('of readers is shared: many have smaller buffers, few have large ones', async () => {
    const reads = new SharedReads({
      bytes: bufferBytes,
      idleBytesMax: 2 * bufferBytes,
      takenBytesMax: 8 * bufferBytes,
      bytesMin: 100,
    })
    const readers = Array.from({ length: 8 }, () => readAlone(reads))
    const lengthsNow = async (): Promise<number[]> => {
      const lengths: number[] = []
      for (const reader of readers) lengths.push((await reader.next()).value?.length ?? 0)
      return lengths
    }
    // The first ones begin alone; after a few buffers each all have about what is a share for eight.
    for (let round = 0; round < 4; round += 1) await lengthsNow()
    for (const length of await lengthsNow()) {
      assert.ok(length === bufferBytes / 4 || length === bufferBytes / 2, `${length} bytes`)
    }
    for (const reader of readers.splice(2)) await reader.return(undefined)
    for (let round = 0; round < 2; round += 1) await lengthsNow()
    assert.deepEqual(await lengthsNow(), [bufferBytes, bufferBytes])
  })

  test('of uploads is bounded: beyond it bytes are written as they come', async () => {
    await using store = await open()
    const { layout, reads } = store
    const settings = { writeBytes: 10_000, gatheredBytesMax: 100 }
    const uploads = new FilesystemUploadStore(layout, reads, settings)
    const ids = ['one', 'two'] as UploadId[]
    const { promise: more, resolve: sendMore } = Promise.withResolvers<void>()
    const slowly = async function* (): AsyncGenerator<Uint8Array> {
      yield patternBytes(80)
      yield patternBytes(80)
      await more
    }
    const appending = ids.map((id) => uploads.appendToUpload(id, 0, slowly(), unobserved))
    await until('it is written', async () => {
      // The files may not be made yet.
      const found = ids.map((id) => stat(layout.upload(id)).catch(() => undefined))
      return (await Promise.all(found)).every((file) => (file?.size ?? 0) > 0)
    })
    sendMore()
    for (const { appended } of await Promise.all(appending)) assert.equal(appended, 160)
    for (const id of ids) await uploads.deleteUpload(id)
  })

  test('of an upload in small pieces is bounded: many of them are written', async () => {
    await using store = await open()
    const { layout, reads } = store
    const uploads = new FilesystemUploadStore(layout, reads, { writeBytes: 10_000 })
    const id = 'pieces' as UploadId
    let written = 0
    const bytes = patternBytes(1_000)
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      yield* inPieces(bytes, 1)
      written = (await stat(layout.upload(id))).size
    }
    await uploads.appendToUpload(id, 0, pieces(), unobserved)
    assert.ok(written > 800, `${written} bytes were written before the end`)
    assert.ok((await readFile(layout.upload(id))).equals(bytes))
    await uploads.deleteUpload(id)
  })

  test('of an upload that somebody removed is gone, whatever else is there', async () => {
    await using store = await open()
    const { layout, uploads } = store
    const id = 'removed' as UploadId
    const bytes = patternBytes(100)
    await uploads.appendToUpload(id, 0, inPieces(bytes, 10), unobserved)
    rmSync(layout.upload(id))
    await assert.rejects(uploads.commitUpload(id, digestOf(bytes)), {
      code: 'BLOB_UPLOAD_UNKNOWN',
    })
  })

  test('of an upload is free as soon as it is written, without the garbage collector', async () => {
    await using store = await open()
    const { layout, uploads } = store
    const id = 'freed' as UploadId
    const bytes = patternBytes(20_000)
    const alone = new Uint8Array(bytes.subarray(0, 10_000))
    const shared = Buffer.from(bytes).subarray(10_000)
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      yield alone
      yield shared
    }
    await uploads.appendToUpload(id, 0, pieces(), unobserved)
    assert.ok((await readFile(layout.upload(id))).equals(bytes))
    assert.equal(alone.buffer.byteLength, 0, 'freed')
    assert.ok(shared.equals(bytes.subarray(10_000)), 'memory that others use, too, is left alone')
    await uploads.deleteUpload(id)
  })
})

describe('room', () => {
  test('falls by what is put, comes back with what is deleted, and is what can be written', async (t) => {
    using disk = await mountSmallDisk(t, 'size=8m')
    if (disk === undefined) return
    const layout = new DataLayout(join(disk.path, 'data'))
    for (const child of layout.directories()) mkdirSync(child, { recursive: true })
    const { blobs } = openAt(layout, () => Promise.resolve())
    const first = await blobs.freeBytes()
    assert.equal(first, disk.freeBytes)
    const content = patternBytes(3_000_000)
    await blobs.putBlob(digestOf(content), content)
    const page = 4_096
    const taken = first - (await blobs.freeBytes())
    assert.ok(taken >= content.length && taken < content.length + 4 * page, `${taken} bytes`)
    await blobs.deleteBlob(digestOf(content))
    assert.equal(await blobs.freeBytes(), first)
    const [fits, exceeds] = [first - 4 * page, first + 1].map((size) => patternBytes(size, size))
    assert.ok(fits && exceeds)
    await assert.rejects(blobs.putBlob(digestOf(exceeds), exceeds), { code: 'STORAGE_FULL' })
    assert.equal(await blobs.freeBytes(), first)
    await blobs.putBlob(digestOf(fits), fits)
  })

  test('of a store that is not there is an error of the storage', async () => {
    await using directory = await temporaryDirectory()
    const layout = new DataLayout(join(directory.path, 'gone'))
    const { blobs } = openAt(layout, () => Promise.resolve())
    await assert.rejects(blobs.freeBytes(), OciError)
  })
})

describe('a file system that refuses', () => {
  /** A file in the place of a directory, as root may write everywhere. */
  async function block(directory: string): Promise<void> {
    await rm(directory, { recursive: true })
    await writeFile(directory, '')
  }

  test('a blob that cannot get its name is an error, and its staged bytes are removed', async () => {
    await using store = await openAlone()
    const content = Buffer.from('x')
    await block(dirname(store.layout.blob(digestOf(content))))
    await assert.rejects(store.blobs.putBlob(digestOf(content), content))
    assert.deepEqual(await store.leaks(), [])
  })

  test('a disk that fails to read is UNAVAILABLE', async () => {
    const reads = new SharedReads({ bytes: bufferBytes, idleBytesMax: 2 * bufferBytes })
    const read = () => Promise.reject(Object.assign(new Error('broken'), { code: 'EIO' }))
    const chunks = readRange(
      { handle: { read }, identity: 'broken' },
      { start: 0, endInclusive: 9 },
      reads,
    )
    await assert.rejects(chunks.next(), { name: 'OciError', code: 'UNAVAILABLE' })
  })

  test('a quota that is used up is STORAGE_FULL, though node has no name for it', () => {
    const { EDQUOT, ESTALE } = constants.errno
    const unnamed = (errno: number): Error =>
      Object.assign(new Error('unnamed'), {
        code: `Unknown system error -${errno}`,
        errno: -errno,
        syscall: 'write',
      })
    assert.equal((translated(unnamed(EDQUOT)) as OciError).code, 'STORAGE_FULL')
    assert.match((translated(unnamed(ESTALE)) as OciError).message, /network file system/)
  })

  test('an error that nobody foresaw is UNAVAILABLE too, a defect is not', () => {
    const system = Object.assign(new Error('EUNATCH'), { code: 'EUNATCH', syscall: 'open' })
    assert.equal((translated(system) as OciError).code, 'UNAVAILABLE')
    const defect = Object.assign(new Error('of type string'), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.equal(translated(defect), defect)
  })

  test('a store without a staging directory fails its check', async () => {
    await using store = await openAlone()
    await block(store.layout.uploads)
    await assert.rejects(store.blobs.check())
  })

  const unprivileged = process.geteuid?.() !== 0
  test('a directory that may not be written is UNAVAILABLE', { skip: !unprivileged }, async () => {
    await using store = await openAlone()
    await chmod(store.layout.uploads, 0o500)
    await assert.rejects(
      store.blobs.putBlob(digestOf(Buffer.from('x')), Buffer.from('x')),
      (error) => error instanceof OciError && error.code === 'UNAVAILABLE',
    )
    await chmod(store.layout.uploads, 0o700)
  })

  test('a device without space is STORAGE_FULL, with a time to come back', async () => {
    await using store = await openAlone()
    const id = 'full' as UploadId
    await symlink('/dev/full', store.layout.upload(id))
    await assert.rejects(
      store.uploads.appendToUpload(id, 0, inPieces(Buffer.from('x'), 1), unobserved),
      (error) =>
        error instanceof OciError &&
        error.code === 'STORAGE_FULL' &&
        error.headers['Retry-After'] !== undefined,
    )
  })

  test('a disk that fills up keeps what was acknowledged, and gives back what was not', async () => {
    await using directory = await temporaryDirectory()
    const program = fileURLToPath(import.meta.resolve('../support/fill-disk.ts'))
    const limited = 'ulimit -f 128 && exec "$0" "$@"'
    const run = promisify(execFile)
    const { stdout } = await run('sh', ['-c', limited, process.execPath, program, directory.path])
    assert.equal(stdout, 'all as it should be\n')
  })
})
