// Run as a program whose files may not grow past 64 KiB (`ulimit -f`), which is a full disk as far
// as a store can tell: checks what the filesystem's stores make of it, in the directory it is given.

import assert from 'node:assert/strict'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { digestOf } from '../../src/oci/digest.ts'
import type { UploadId } from '../../src/registry/ports/upload-store.ts'
import { FilesystemBlobStore } from '../../src/storage/filesystem/blob-store.ts'
import { DataLayout } from '../../src/storage/filesystem/layout.ts'
import { SharedReads } from '../../src/storage/filesystem/shared-reads.ts'
import { FilesystemUploadStore } from '../../src/storage/filesystem/upload-store.ts'
import { collect, inPieces, patternBytes, unobserved } from './bytes.ts'

const layout = new DataLayout(process.argv[2] ?? '')
for (const directory of layout.directories()) await mkdir(directory, { recursive: true })
const reads = new SharedReads({ bytes: 4_096, idleBytesMax: 16_384 })
const blobs = new FilesystemBlobStore(layout, reads)
const uploads = new FilesystemUploadStore(layout, reads, { writeBytes: 4_096 })

const storageFull = { name: 'OciError', code: 'STORAGE_FULL', status: 507 }
const id = 'upload' as UploadId
const first = patternBytes(10_000, 1)
const tooMuch = patternBytes(1_000_000, 2)
const append = (offset: number, bytes: Buffer): Promise<unknown> =>
  uploads.appendToUpload(id, offset, inPieces(bytes, 1_000), unobserved)

await append(0, first)
await assert.rejects(append(first.length, tooMuch), storageFull)
assert.equal((await stat(layout.upload(id))).size, first.length)
// The system takes the half of this that fits, and only the next attempt fails.
const halfFits = inPieces(patternBytes(100_000, 3), Infinity)
await assert.rejects(uploads.appendToUpload(id, first.length, halfFits, unobserved), storageFull)
assert.equal((await stat(layout.upload(id))).size, first.length)
await append(first.length, Buffer.from('and on'))
const whole = Buffer.concat([first, Buffer.from('and on')])
const staged = await uploads.openUpload(id)
const wholeRange = { start: 0, endInclusive: whole.length - 1 }
assert.ok(whole.equals(await collect(staged.read(wholeRange))))
await staged[Symbol.asyncDispose]()

await assert.rejects(blobs.putBlob(digestOf(tooMuch), tooMuch), storageFull)
assert.equal(await blobs.statBlob(digestOf(tooMuch)), undefined)
assert.deepEqual(await readdir(layout.uploads), [id])
await blobs.putBlob(digestOf(first), first)
await uploads.commitUpload(id, digestOf(whole))
assert.equal((await blobs.statBlob(digestOf(whole)))?.size, whole.length)

console.log('all as it should be')
