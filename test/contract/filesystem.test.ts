// The filesystem's stores: the contracts of blob and upload stores, and what only files can do:
// be cut short under a reader, fill the disk, lie around in the staging directory.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import {
  chmod,
  type FileHandle,
  open as openFile,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { digestOf } from '../../src/oci/digest.ts'
import { OciError } from '../../src/oci/errors.ts'
import type { UploadId } from '../../src/registry/ports/upload-store.ts'
import { FilesystemBlobStore } from '../../src/storage/filesystem/blob-store.ts'
import { translated } from '../../src/storage/filesystem/file-error.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { ReadBuffers, readRange } from '../../src/storage/filesystem/read-buffers.ts'
import { FilesystemUploadStore } from '../../src/storage/filesystem/upload-store.ts'
import { inPieces, patternBytes, unobserved } from '../support/bytes.ts'
import { openFilesUnder } from '../support/open-files.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { until } from '../support/until.ts'
import { blobStoreContract } from './blob-store.ts'
import { uploadStoreContract, type UploadStoreUnderTest } from './upload-store.ts'

const bufferBytes = 16 * 1024

/** Counts the buffers that are out, and spoils those that come back, as a next reader would. */
class CountedBuffers extends ReadBuffers {
  taken = 0

  override take(wanted: number): Buffer {
    this.taken += 1
    return super.take(wanted)
  }

  override give(buffer: Buffer): void {
    this.taken -= 1
    buffer.fill(0xaa)
    super.give(buffer)
  }

  override forget(buffer: Buffer): void {
    this.taken -= 1
    super.forget(buffer)
  }
}

interface FilesystemUnderTest extends UploadStoreUnderTest {
  readonly layout: DataLayout
  readonly buffers: CountedBuffers
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
  const buffers = new CountedBuffers({ bytes: bufferBytes, pooledBytesMax: 4 * bufferBytes })
  return {
    layout,
    buffers,
    bufferBytes,
    blobs: new FilesystemBlobStore(layout, buffers),
    uploads: new FilesystemUploadStore(layout, buffers, { writeBytes: bufferBytes }),
    reopen: () => Promise.resolve(openAt(layout, dispose)),
    leaks: async () => [
      ...(await openFilesUnder(layout.root)),
      ...(await readdir(layout.uploads)),
      ...(buffers.taken === 0 ? [] : [`${buffers.taken} read buffers`]),
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
    const { blobs, layout, buffers } = store
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
      assert.equal(buffers.taken, 0)
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
      assert.equal(store.buffers.taken, 2)
      break
    }
    assert.equal(store.buffers.taken, 0)
  })

  test('a buffer that is being read into is not given to anybody else', async () => {
    const buffers = new CountedBuffers({ bytes: bufferBytes, pooledBytesMax: 4 * bufferBytes })
    const reads = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let started = 0
    const file = {
      read: async (buffer: Buffer) => {
        started += 1
        await reads[started - 1]?.promise
        return { bytesRead: bufferBytes, buffer }
      },
    } as unknown as FileHandle
    const range = { start: 0, endInclusive: 4 * bufferBytes - 1 }
    const chunks = readRange(file, range, buffers)
    reads[0]?.resolve()
    await chunks.next()
    assert.equal(started, 2)
    const stopping = chunks.return(undefined)
    // Time enough to give the buffers back, which would be wrong now.
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(buffers.taken, 2)
    reads[1]?.resolve()
    await stopping
    assert.equal(buffers.taken, 0)
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
  const { layout, buffers } = store
  const id = 'lost' as UploadId
  const settings = { writeBytes: 1_000, syncBytes: 5_000, syncsAtOnce: 1 }
  const uploads = new FilesystemUploadStore(layout, buffers, settings)
  await using probe = await openFile(layout.root, 'r')
  const handles = Object.getPrototypeOf(probe) as FileHandle
  const broken = Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' })
  const syncs = t.mock.method(handles, 'datasync')
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
  const file = {
    read: (buffer: Buffer, _start: number, length: number) =>
      Promise.resolve({ bytesRead: length, buffer }),
  } as unknown as FileHandle

  test('of readers is bounded: beyond it they read with small buffers, all of it', async () => {
    const settings = {
      bytes: bufferBytes,
      pooledBytesMax: 2 * bufferBytes,
      takenBytesMax: 4 * bufferBytes,
    }
    const buffers = new ReadBuffers({ ...settings, bytesBeyond: 1_000 })
    const slow = Array.from({ length: 10 }, () => readRange(file, range, buffers))
    const lengths: number[] = []
    for (const reader of slow) lengths.push((await reader.next()).value?.length ?? 0)
    // Two of them have two buffers each.
    assert.deepEqual(lengths, [bufferBytes, bufferBytes, ...Array<number>(8).fill(1_000)])
    let rest = 0
    const last = slow.at(-1)
    assert.ok(last !== undefined)
    for await (const chunk of last) rest += chunk.length
    assert.equal(rest, 10 * bufferBytes - 1_000)
    // With the slow ones gone there are large ones again.
    for (const reader of slow) await reader.return(undefined)
    const next = await readRange(file, range, buffers).next()
    assert.equal(next.value?.length, bufferBytes)
  })

  test('of readers is shared: many have smaller buffers, few have large ones', async () => {
    const settings = {
      bytes: bufferBytes,
      pooledBytesMax: 2 * bufferBytes,
      takenBytesMax: 4 * bufferBytes,
    }
    const buffers = new ReadBuffers({ ...settings, bytesBeyond: 100 })
    const readers = Array.from({ length: 8 }, () => readRange(file, range, buffers))
    const lengthsNow = async (): Promise<Set<number>> => {
      const read = await Promise.all(readers.map((reader) => reader.next()))
      return new Set(read.map(({ value }) => value?.length ?? 0))
    }
    // The first ones begin alone; after two buffers each all have what is a share for eight.
    for (let round = 0; round < 3; round += 1) await lengthsNow()
    assert.deepEqual(await lengthsNow(), new Set([bufferBytes / 4]))
    for (const reader of readers.splice(2)) await reader.return(undefined)
    for (let round = 0; round < 2; round += 1) await lengthsNow()
    assert.deepEqual(await lengthsNow(), new Set([bufferBytes]))
  })

  test('of readers is free as soon as nobody gets buffers of that size any more', () => {
    const settings = {
      bytes: bufferBytes,
      pooledBytesMax: 2 * bufferBytes,
      takenBytesMax: 2 * bufferBytes,
    }
    const buffers = new ReadBuffers({ ...settings, bytesBeyond: 100 })
    const [kept, late] = [buffers.take(bufferBytes), buffers.take(bufferBytes)]
    buffers.give(kept)
    using _readers = new DisposableStack()
    for (let count = 0; count < 4; count += 1) _readers.use(buffers.join())
    buffers.give(late)
    assert.deepEqual([kept.length, late.length], [0, 0])
  })

  test('of uploads is bounded: beyond it bytes are written as they come', async () => {
    await using store = await open()
    const { layout, buffers } = store
    const settings = { writeBytes: 10_000, gatheredBytesMax: 100 }
    const uploads = new FilesystemUploadStore(layout, buffers, settings)
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
    const { layout, buffers } = store
    const uploads = new FilesystemUploadStore(layout, buffers, { writeBytes: 10_000 })
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
    const buffers = new ReadBuffers({ bytes: bufferBytes, pooledBytesMax: 2 * bufferBytes })
    const read = () => Promise.reject(Object.assign(new Error('broken'), { code: 'EIO' }))
    const chunks = readRange(
      { read } as unknown as FileHandle,
      { start: 0, endInclusive: 9 },
      buffers,
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
