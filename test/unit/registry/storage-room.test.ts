// Room for pushes, over a disk and a database that are numbers: what is let in, what is refused, when the
// cache is asked to give back, and that no count which is too high refuses anything.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { OciError } from '../../../src/oci/errors.ts'
import type { Log } from '../../../src/registry/request-context.ts'
import { type StorageBounds, StorageRoom } from '../../../src/registry/storage-room.ts'
import { collect, inPieces } from '../../support/bytes.ts'
import { silentLog } from '../../support/request-context.ts'
import { until } from '../../support/until.ts'

class FakeDisk {
  free = 1_000
  stored = 0
  /** What the cache has, and gives back when asked. */
  cached = 0
  /** Whether it gives back no more than it is asked for. */
  keepsRest = false
  measurements = 0
  readonly evictions: number[] = []
  readonly warnings: unknown[] = []
  failure: Error | undefined
  readonly room: StorageRoom

  constructor(bounds: StorageBounds) {
    const log: Log = { ...silentLog, warn: (...args: unknown[]) => void this.warnings.push(args) }
    const parts = {
      blobs: {
        freeBytes: async () => {
          if (this.failure) throw this.failure
          return this.free
        },
      },
      metadata: {
        measureContent: async () => {
          this.measurements += 1
          if (this.failure) throw this.failure
          return this.stored
        },
      },
      evict: async (bytes: number) => {
        this.evictions.push(bytes)
        const given = this.keepsRest ? Math.min(bytes, this.cached) : this.cached
        this.cached -= given
        this.free += given
        this.stored -= given
        return given
      },
      log,
    }
    this.room = new StorageRoom(parts, { stepBytes: 100, retryAfterSeconds: 60 }, bounds)
  }

  /** Written while it comes, stored when all of it is there, and removed if it breaks. @returns its bytes. */
  async push(bytes: number, length: number | undefined = bytes): Promise<number> {
    let written = 0
    try {
      for await (const piece of this.room.guard(inPieces(Buffer.alloc(bytes), 50), length)) {
        written += piece.length
        this.free -= piece.length
      }
    } catch (error) {
      this.free += written
      throw error
    }
    this.stored += written
    return written
  }
}

function isFull(bound: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof OciError)
    assert.deepEqual([error.code, error.status], ['STORAGE_FULL', 507])
    assert.deepEqual(error.detail, { bound: `storage.${bound}` })
    assert.deepEqual(error.headers, { 'Retry-After': '60' })
    return true
  }
}

test('without a bound everything is let in, and nobody asked', async () => {
  const disk = new FakeDisk({})
  const body = inPieces(Buffer.alloc(5_000), 100)
  assert.equal(disk.room.guard(body, 5_000), body)
  await disk.room.require(1e12)
  assert.ok(await disk.room.mayCache(1e12))
  assert.deepEqual([disk.measurements, disk.evictions], [0, []])
})

describe('with min_free', () => {
  test('a push is let in that leaves just so much, and one byte more is refused', async () => {
    const disk = new FakeDisk({ minFreeBytes: 400 })
    assert.equal(await disk.push(600), 600)
    await assert.rejects(disk.push(1), isFull('min_free'))
    assert.equal(disk.room.refused, 1)
    assert.deepEqual(disk.evictions, [1])
  })

  test('the cache gives back first what is short', async () => {
    const disk = new FakeDisk({ minFreeBytes: 400 })
    disk.cached = 250
    assert.equal(await disk.push(800), 800)
    assert.deepEqual(disk.evictions, [200])
    assert.equal(disk.room.refused, 0)
  })
})

describe('with max_size', () => {
  test('what arrives is counted, and measured again only where the count is too high', async () => {
    const disk = new FakeDisk({ maxBytes: 1_000 })
    for (const bytes of [300, 300, 300]) await disk.push(bytes)
    assert.equal(disk.measurements, 1)
    // It was there before, or has been deleted since.
    disk.stored = 100
    assert.equal(await disk.push(800), 800)
    assert.equal(disk.measurements, 2)
    await assert.rejects(disk.push(101), isFull('max_size'))
    assert.equal(await disk.push(100), 100)
  })

  test('the cache gives back first what is too much', async () => {
    const disk = new FakeDisk({ maxBytes: 1_000 })
    disk.stored = 900
    disk.cached = 500
    assert.equal(await disk.push(300), 300)
    assert.deepEqual(disk.evictions, [200])
  })

  test('many that ask at once measure once', async () => {
    const disk = new FakeDisk({ maxBytes: 1_000 })
    await Promise.all(Array.from({ length: 20 }, () => disk.room.require(10)))
    assert.equal(disk.measurements, 1)
  })
})

describe('a body', () => {
  for (const [bound, bounds] of [
    ['max_size', { maxBytes: 1_000 }],
    ['min_free', { minFreeBytes: 500 }],
  ] as const) {
    test(`that another sends at the same time counts from its beginning for ${bound}`, async () => {
      const disk = new FakeDisk(bounds)
      disk.free = 1_500
      const body = inPieces(Buffer.alloc(600), 50)
      const first = disk.room.guard(body, 600)[Symbol.asyncIterator]()
      await first.next()
      disk.free -= 50
      await assert.rejects(disk.push(600), isFull(bound))
      assert.equal(await disk.push(400), 400)
    })
  }

  test('that breaks off, or is left, gives back what it did not bring', async () => {
    const disk = new FakeDisk({ maxBytes: 1_000 })
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(100)
      throw new Error('gone')
    }
    await assert.rejects(collect(disk.room.guard(broken(), 900)), /gone/)
    for await (const _ of disk.room.guard(inPieces(Buffer.alloc(800), 50), 800)) break
    // Of the two 150 arrived, which nobody stored: they are no more when it is measured again.
    assert.equal(await disk.push(1_000), 1_000)
  })

  test('of unknown length is let in step by step, and ends where there is no room', async () => {
    const disk = new FakeDisk({ minFreeBytes: 750 })
    let arrived = 0
    const reading = async (): Promise<void> => {
      const body = disk.room.guard(inPieces(Buffer.alloc(500), 50), undefined)
      for await (const { length } of body) {
        arrived += length
        disk.free -= length
      }
    }
    await assert.rejects(reading, isFull('min_free'))
    assert.equal(arrived, 200)
  })

  test('that is longer than it says is no way in', async () => {
    const disk = new FakeDisk({ minFreeBytes: 400 })
    await assert.rejects(disk.push(2_000, 300), isFull('min_free'))
    assert.equal(await disk.push(0, 0), 0)
  })
})

test('a disk that cannot be asked refuses nothing, and is told of', async () => {
  for (const bounds of [{ minFreeBytes: 400 }, { maxBytes: 1 }]) {
    const disk = new FakeDisk(bounds)
    disk.failure = new OciError('UNAVAILABLE')
    assert.equal(await disk.push(900), 900)
    assert.ok(disk.warnings.length > 0)
    disk.failure = new TypeError('a bug')
    await assert.rejects(disk.push(900), /a bug/)
  }
})

test('what is cached waits for nothing: it is not kept where there is no room, and the next may be', async () => {
  const disk = new FakeDisk({ maxBytes: 1_000 })
  disk.stored = 900
  disk.cached = 800
  assert.equal(await disk.room.mayCache(200), false)
  await until('the cache has made room', () => disk.evictions.length > 0)
  assert.deepEqual(disk.evictions, [100])
  assert.equal(await disk.room.mayCache(200), true)
  assert.equal(disk.room.refused, 0)
})

for (const [name, ask] of [
  ['pushes', (room: StorageRoom) => room.require(10)],
  ['cached blobs', (room: StorageRoom) => room.mayCache(10)],
] as const) {
  test(`what is short for all of them is given back once: ${name}`, async () => {
    const disk = new FakeDisk({ minFreeBytes: 400 })
    disk.keepsRest = true
    disk.cached = 900
    // Something else than the registry has filled the disk.
    disk.free = 100
    await Promise.all(Array.from({ length: 10 }, () => ask(disk.room)))
    await until('room was made', () => disk.free >= 410)
    await disk.room.require(10)
    assert.ok(disk.free <= 400 + 10 * 10, `${disk.free} bytes are free`)
  })
}

test('other bounds hold from then on', async () => {
  const disk = new FakeDisk({ maxBytes: 1_000 })
  await disk.push(900)
  await assert.rejects(disk.push(900), isFull('max_size'))
  disk.room.reload({ maxBytes: 2_000 })
  assert.equal(await disk.push(900), 900)
  disk.room.reload({ minFreeBytes: 1 })
  disk.free = 10
  await assert.rejects(disk.push(10), isFull('min_free'))
  disk.room.reload({})
  assert.equal(await disk.push(10), 10)
})
