// Many readers of files that grow, are replaced and fail, in a random order that a seed repeats: each gets the
// bytes of its file and no others, those it has stay as they are for as long as anybody uses them, and nothing
// is left when all are gone.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { UnreadableContent } from '../../../src/registry/ports/blob-store.ts'
import { readRange } from '../../../src/storage/filesystem/read-range.ts'
import { type SharedFile, SharedReads } from '../../../src/storage/filesystem/shared-reads.ts'
import { Random } from '../../simulation/random.ts'
import { patternBytes } from '../../support/bytes.ts'

const pieceBytes = 4_096
const takenBytesMax = 8 * pieceBytes
const bytesMin = pieceBytes / 32
const readersAtOnce = 12

interface RandomFile extends SharedFile {
  readonly content: Buffer
  /** Bytes that are there by now. */
  size: number
}

/** A client that went away: the system goes on sending what it had been given. */
interface Left {
  readonly sent: Uint8Array
  readonly copy: Buffer
}

class Scene {
  readonly reads = new SharedReads({
    bytes: pieceBytes,
    idleBytesMax: 4 * pieceBytes,
    takenBytesMax,
    bytesMin,
  })
  readonly left: Left[] = []
  readonly #random: Random
  readonly #files: RandomFile[] = []
  #made = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  async turns(max: number): Promise<void> {
    for (let turns = this.#random.below(max); turns > 0; turns -= 1) await nextTurn()
  }

  /** One client, from its first byte to its last, or to where it goes away. */
  async read(): Promise<void> {
    const random = this.#random
    const file = this.#pickFile()
    const start = random.below(file.size)
    const endInclusive = start + random.below(file.size - start)
    const isImpatient = random.chance(2)
    let position = start
    try {
      for await (const chunk of readRange(file, { start, endInclusive }, this.reads)) {
        const copy = Buffer.from(chunk)
        const expected = file.content.subarray(position, position + chunk.length)
        assert.ok(copy.equals(expected), `other bytes than those from ${position} on`)
        await this.turns(6)
        assert.ok(copy.equals(chunk), `the bytes from ${position} on changed while they were sent`)
        position += chunk.length
        if (isImpatient && random.chance(3)) {
          this.left.push({ sent: chunk, copy })
          return
        }
      }
      assert.equal(position, endInclusive + 1)
    } catch (error) {
      // The disk's, which is no fault of theirs.
      if (!(error instanceof UnreadableContent)) throw error
    }
  }

  #pickFile(): RandomFile {
    const random = this.#random
    if (this.#files.length < 5) this.#files.push(this.#makeFile())
    // In its place comes another one of the same size.
    else if (random.chance(10)) this.#files[random.below(5)] = this.#makeFile()
    const file = random.pick(this.#files)
    file.size = Math.min(file.content.length, file.size + random.below(3_000))
    return file
  }

  #makeFile(): RandomFile {
    this.#made += 1
    const content = patternBytes(10 * pieceBytes, this.#made)
    const read = (buffer: Buffer, _offset: number, length: number, position: number) =>
      this.#fill(buffer.subarray(0, length), file, position)
    const handle = { read }
    const size = 1 + this.#random.below(content.length)
    const file: RandomFile = { handle, identity: `${this.#made}`, content, size }
    return file
  }

  /** As the kernel does, beside all else. */
  async #fill(into: Buffer, { content, size }: RandomFile, position: number) {
    await this.turns(5)
    if (this.#random.chance(30)) throw Object.assign(new Error('broken'), { code: 'EIO' })
    const bytes = content.subarray(position, Math.min(position + into.length, size))
    into.set(bytes.subarray(0, 10))
    await this.turns(3)
    into.set(bytes)
    return { bytesRead: bytes.length }
  }
}

const seed = Number(process.env['TROW_SIMULATION_SEED'] ?? Math.floor(Math.random() * 1_000_000))

test(`readers that share pieces get what is theirs (TROW_SIMULATION_SEED=${seed})`, async () => {
  const scene = new Scene(seed)
  const { reads } = scene
  const comeAndGo = async (): Promise<void> => {
    for (let times = 0; times < 40; times += 1) {
      await scene.turns(10)
      await scene.read()
      assert.ok(reads.takenBytes <= takenBytesMax + 2 * readersAtOnce * bytesMin)
    }
  }
  await Promise.all(Array.from({ length: readersAtOnce }, comeAndGo))
  for (const { sent, copy } of scene.left) assert.ok(copy.equals(sent), 'it was sent other bytes')
  assert.equal(reads.takenBytes, 0)
})
