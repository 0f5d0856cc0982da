// An archive that says it is a backup, and holds more than the disk: it is refused before the disk is full.

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Readable } from 'node:stream'
import { type Pack, pack } from 'tar-stream'
import { blobName } from '../../src/storage/backup/names.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { makeBlob } from '../support/push-steps.ts'
import { runTrow } from '../support/run-command.ts'
import { mountSmallDisk } from '../support/small-disk.ts'

const MiB = 1 << 20
const blobBytes = 1 * MiB

function beginArchive(): Pack {
  const archive = pack()
  archive.entry({ name: 'backup.json' }, '{"backup":1,"trow":"0.11.0"}')
  archive.entry({ name: 'format.json' }, '{"format":1}')
  return archive
}

function inputOf(archive: Pack): Readable {
  return Readable.from(archive as AsyncIterable<Buffer>)
}

for (const name of [blobName(makeBlob('large', 10).digest as Digest), 'metadata.db']) {
  test(`${name.slice(0, 12)}, said to be larger than the disk, is refused before its bytes come`, async (t) => {
    using disk = await mountSmallDisk(t, 'size=16m')
    if (disk === undefined) return
    const archive = beginArchive()
    // Not one byte of it follows, and the archive does not end.
    archive.entry({ name, size: 1024 * 1024 * MiB })
    const data = join(disk.path, 'data')
    const args = ['restore', '-', '--data-dir', data]
    const { code, stderr } = await runTrow(args, { input: inputOf(archive) })
    assert.equal(code, 1)
    assert.ok(stderr.includes(`${name} of the backup has 1099511627776 bytes`), stderr)
    assert.ok(stderr.includes(`${data} has room for `), stderr)
    assert.ok(disk.freeBytes > 15 * MiB)
  })
}

test('blobs without an end leave room on the disk', async (t) => {
  using disk = await mountSmallDisk(t, 'size=16m')
  if (disk === undefined) return
  const free = disk.freeBytes
  const archive = beginArchive()
  for (let number = 0; number < 20; number += 1) {
    const { digest, bytes } = makeBlob(`${number}`, blobBytes)
    archive.entry({ name: blobName(digest as Digest) }, bytes)
  }
  archive.finalize()
  const data = join(disk.path, 'data')
  const args = ['restore', '-', '--data-dir', data]
  const { code, stderr } = await runTrow(args, { input: inputOf(archive) })
  assert.equal(code, 1)
  assert.match(stderr, /of the backup has 1048576 bytes, and .* has room for \d+: .* make room/)
  assert.ok(disk.freeBytes > free * 0.02, `${disk.freeBytes} bytes are free`)
  assert.ok(disk.freeBytes < 2 * blobBytes, 'what fits is taken')
  const files = await readdir(data, { recursive: true })
  assert.deepEqual(
    files.filter((file) => file.endsWith('.tmp')),
    [],
  )
})
