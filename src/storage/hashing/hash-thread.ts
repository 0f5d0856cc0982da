/**
 * One thread that hashes, from its start to its end. Bytes are given away to it once they are written; those
 * that it is not done with have a bound, and who has more waits. When it ends, for whatever
 * reason, or says nothing for too long, nobody waits any more and its digests are not known.
 */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ownBuffer } from '../../lib/free-bytes.ts'
import type { DigestAlgorithm } from '../../oci/digest.ts'
import type { HashAnswer, HashRequest } from './hash-thread-worker.ts'

/** Beside this file, in the sources and in what is published. */
const program = new URL(`./hash-thread-worker${extname(import.meta.url)}`, import.meta.url)

export interface HashThreadSettings {
  /** Bytes that the thread has and is not done with. */
  readonly backlogBytesMax: number
  /** With less than Node.js itself needs it could end the whole process. */
  readonly heapMiBMax: number
  /** How long it may have something to do and say nothing. */
  readonly silenceSecondsMax: number
  /** What it runs instead. */
  readonly program?: URL
}

/** To copy fewer costs less than to tell of one more buffer. */
const givenBytesMin = 4 * 1024

interface Waiting {
  readonly bytes: number
  readonly go: () => void
}

export class HashThread {
  readonly #worker: Worker
  readonly #settings: HashThreadSettings
  #backlog = 0
  readonly #waiting: Waiting[] = []
  #ids = 0
  readonly #asked = new Map<number, (hex: string | undefined) => void>()
  #isAlive = true
  /** Begins anew with all that it is told, and all that it says. */
  readonly #silence: NodeJS.Timeout
  readonly #onRest: () => void

  /**
   * @param onRest told whenever it has nothing to do any more.
   * @param onDeath told why it ended, unless `end` was called.
   * @throws when it cannot be started.
   */
  constructor(settings: HashThreadSettings, onRest: () => void, onDeath: (cause: unknown) => void) {
    this.#settings = settings
    this.#onRest = onRest
    this.#worker = new Worker(settings.program ?? program, {
      name: 'hash',
      // A copy of it would be kept otherwise.
      env: {},
      resourceLimits: {
        maxOldGenerationSizeMb: settings.heapMiBMax,
        maxYoungGenerationSizeMb: 1,
      },
    })
    const died = (cause: unknown): void => {
      if (!this.#isAlive) return
      this.#letGo()
      onDeath(cause)
    }
    const { silenceSecondsMax } = settings
    this.#silence = setTimeout(() => {
      if (!this.isBusy) return
      died(new Error(`it said nothing for ${silenceSecondsMax} seconds`))
      void this.#worker.terminate()
    }, silenceSecondsMax * 1000)
    this.#silence.unref()
    this.#worker.on('message', (answer: HashAnswer) => this.#heard(answer))
    this.#worker.on('error', died)
    this.#worker.on('exit', (code) => died(new Error(`it ended with ${code}`)))
    this.#worker.unref()
  }

  /** Bytes that it has and is not done with. */
  get backlog(): number {
    return this.#backlog
  }

  get isBusy(): boolean {
    return this.#backlog > 0 || this.#asked.size > 0
  }

  /** For a digest that begins here. */
  newId(): number {
    this.#ids += 1
    return this.#ids
  }

  /**
   * Takes the next bytes of a digest, and detaches those that need not be copied.
   * Resolves when it has them, or is gone; undefined when it has them at once.
   */
  take(id: number, algorithm: DigestAlgorithm, run: readonly Uint8Array[]): Promise<void> | void {
    if (!this.#isAlive) return undefined
    const bytes = bytesIn(run)
    if (this.#waiting.length === 0 && this.#hasRoomFor(bytes)) {
      this.#backlog += bytes
      this.#give(id, algorithm, run)
      return undefined
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.push({ bytes, go: resolve })
    return promise.then(() => this.#give(id, algorithm, run))
  }

  /** @returns undefined when the thread is gone, or goes before it could answer. */
  async digest(id: number): Promise<string | undefined> {
    if (!this.#isAlive) return undefined
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    this.#asked.set(id, resolve)
    this.#post({ id, end: 'digest' })
    return promise
  }

  drop(id: number): void {
    if (this.#isAlive) this.#worker.postMessage({ id, end: 'drop' } satisfies HashRequest)
  }

  async end(): Promise<void> {
    this.#letGo()
    await this.#worker.terminate()
  }

  /** A run that is larger than all the room there is gets all of it. */
  #hasRoomFor(bytes: number): boolean {
    return this.#backlog === 0 || this.#backlog + bytes <= this.#settings.backlogBytesMax
  }

  #give(id: number, algorithm: DigestAlgorithm, pieces: readonly Uint8Array[]): void {
    if (!this.#isAlive) return
    const { run, buffers } = givenAway(pieces)
    this.#post({ id, algorithm, run }, buffers)
  }

  /** While it has something to do the process waits for it. */
  #post(request: HashRequest, transferred: readonly ArrayBuffer[] = []): void {
    this.#worker.ref()
    this.#worker.postMessage(request, transferred)
    this.#silence.refresh()
  }

  #heard(answer: HashAnswer): void {
    if (!this.#isAlive) return
    this.#silence.refresh()
    if (typeof answer === 'number') {
      this.#backlog -= answer
      this.#admit()
    } else {
      this.#asked.get(answer.id)?.(answer.hex)
      this.#asked.delete(answer.id)
    }
    if (this.isBusy) return
    this.#worker.unref()
    this.#onRest()
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#hasRoomFor(next.bytes)) return
      this.#backlog += next.bytes
      this.#waiting.shift()
      next.go()
    }
  }

  #letGo(): void {
    this.#isAlive = false
    clearTimeout(this.#silence)
    this.#backlog = 0
    for (const { go } of this.#waiting.splice(0)) go()
    for (const answer of this.#asked.values()) answer(undefined)
    this.#asked.clear()
  }
}

export function bytesIn(run: readonly Uint8Array[]): number {
  return run.reduce((sum, { length }) => sum + length, 0)
}

/** What has its memory to itself goes as it is; what is between two such pieces is copied into one. */
function givenAway(pieces: readonly Uint8Array[]): { run: Uint8Array[]; buffers: ArrayBuffer[] } {
  const run: Uint8Array[] = []
  const buffers: ArrayBuffer[] = []
  let shared: Uint8Array[] = []
  const give = (bytes: Uint8Array, buffer: ArrayBuffer): void => {
    run.push(bytes)
    buffers.push(buffer)
  }
  const copyShared = (): void => {
    if (shared.length === 0) return
    const copy = new Uint8Array(bytesIn(shared))
    let at = 0
    for (const bytes of shared) {
      copy.set(bytes, at)
      at += bytes.length
    }
    shared = []
    give(copy, copy.buffer)
  }
  for (const bytes of pieces) {
    const buffer = bytes.length < givenBytesMin ? undefined : ownBuffer(bytes)
    if (buffer === undefined) {
      shared.push(bytes)
      continue
    }
    copyShared()
    give(bytes, buffer)
  }
  copyShared()
  return { run, buffers }
}
