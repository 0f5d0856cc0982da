/**
 * Writes to a file in runs, one behind the caller, who meanwhile gathers the next. Where somebody waits
 * for the bytes a run is what came while the one before was being written, however little that is;
 * otherwise it is of a size that is worth a write. What is gathered
 * is bounded for each file and for all of them: thousands of slow clients, or one that sends bytes
 * one by one, do not hold memory.
 */
import { freeBytes } from '../../lib/free-bytes.ts'
import type { OpenFile } from '../../lib/open-file.ts'

/** What all writers together have gathered and not yet written; they share the bound. */
export interface GatheredRuns {
  bytes: number
  writers: number
  readonly bytesMax: number
}

interface RunSettings {
  /** A run of so many bytes is written, or of a writer's share: one is gathered, one is written. */
  readonly runBytes: number
  readonly onWritten: ((offset: number) => void) | undefined
  /** Gets each run when it is written, and may detach it; the next one waits for that. */
  readonly onStored: ((run: readonly Uint8Array[]) => Promise<void> | void) | undefined
  /** Told of the bytes of each run; what it throws fails the writing. */
  readonly onRun: (bytes: number) => void
  readonly gathered: GatheredRuns
}

/** A piece costs more than its bytes, so a run of so many pieces is written, too. */
const piecesMax = 64

export class RunWriter {
  readonly #file: OpenFile
  readonly #start: number
  readonly #settings: RunSettings
  #position: number
  #run: Uint8Array[] = []
  #runLength = 0
  #writing: Promise<void> = Promise.resolve()
  /** Until it has ended well: after a failure nothing more is written. */
  #isWriting = false
  #hasFailed = false

  constructor(file: OpenFile, position: number, settings: RunSettings) {
    this.#file = file
    this.#start = position
    this.#position = position
    this.#settings = settings
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return
    const { runBytes, gathered, onWritten } = this.#settings
    this.#run.push(bytes)
    this.#runLength += bytes.length
    gathered.bytes += bytes.length
    const share = gathered.bytesMax / (2 * gathered.writers)
    const isRun =
      this.#runLength >= Math.min(runBytes, share) ||
      this.#run.length >= piecesMax ||
      gathered.bytes > gathered.bytesMax
    if (isRun || this.#hasFailed) await this.#writing
    if ((isRun || onWritten !== undefined) && !this.#isWriting) this.#startRun()
  }

  /** @returns the number of bytes written since the start. */
  async finish(): Promise<number> {
    await this.#writing
    while (this.#runLength > 0 || this.#isWriting) {
      if (!this.#isWriting) this.#startRun()
      await this.#writing
    }
    return this.#position - this.#start
  }

  /** Forgets what is gathered; resolves when nothing is being written any more. */
  async abandon(): Promise<void> {
    this.#settings.gathered.bytes -= this.#runLength
    this.#run = []
    this.#runLength = 0
    await this.#writing.catch(() => undefined)
  }

  #startRun(): void {
    if (this.#runLength === 0) return
    const { onWritten, onStored, onRun, gathered } = this.#settings
    const run = this.#run
    const length = this.#runLength
    const position = this.#position
    const reached = position + length
    this.#position = reached
    this.#run = []
    this.#runLength = 0
    this.#isWriting = true
    this.#writing = writeRun(this.#file, run, position)
      .then(() => {
        onRun(length)
        return onStored?.(run)
      })
      .finally(() => {
        gathered.bytes -= length
        // Left to the garbage collector they made it mark the whole heap for every 64 MiB that were
        // pushed: a third of a push's processor time.
        for (const bytes of run) freeBytes(bytes)
      })
      .then(() => {
        onWritten?.(reached)
        this.#isWriting = false
        if (onWritten !== undefined) this.#startRun()
      })
    // It is awaited before the next run; until then its failure is not unhandled.
    this.#writing.catch(() => {
      this.#hasFailed = true
    })
  }
}

/** `writev` may write less than asked, on a disk that fills up for example. */
async function writeRun(file: OpenFile, run: Uint8Array[], position: number): Promise<void> {
  let rest = run
  let at = position
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at)
    if (bytesWritten === 0 && rest.some((chunk) => chunk.length > 0)) {
      throw new Error('the file system took none of the bytes and named no error')
    }
    at += bytesWritten
    rest = dropBytes(rest, bytesWritten)
  }
}

function dropBytes(chunks: Uint8Array[], count: number): Uint8Array[] {
  let left = count
  let index = 0
  for (const chunk of chunks) {
    if (left < chunk.length) break
    left -= chunk.length
    index += 1
  }
  const rest = chunks.slice(index)
  const first = rest[0]
  return first === undefined || left === 0 ? rest : [first.subarray(left), ...rest.slice(1)]
}
