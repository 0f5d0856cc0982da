/**
 * Pieces of files in memory, each read once for all who want it at about the same time: the nodes of a
 * cluster pull the same layers together. Large pieces cost the least time; the more memory is in use, the smaller is the
 * next one. So those who read share it, however many they are, and slow clients, who hold their pieces for as
 * long as they like, leave something to others.
 */
import { freeBytes } from '../../lib/free-bytes.ts'
import type { OpenFile } from '../../lib/open-file.ts'

interface Settings {
  /** Of a piece, at most. */
  readonly bytes: number
  /**
   * Bytes of pieces that nobody reads now, kept for the next reader of the same file or of another:
   * of what those in use leave of `takenBytesMax`.
   */
  readonly idleBytesMax: number
  /** Bytes of all pieces in use; beyond it only those of `bytesMin` are given. */
  readonly takenBytesMax?: number
  readonly bytesMin?: number
}

export interface SharedFile {
  readonly handle: Pick<OpenFile, 'read'>
  /** The same for the same bytes, and for no others: what was read of it does not change. */
  readonly identity: string
}

/** Bytes of a file from some position on; to be released by whoever took it. */
export interface Piece {
  /** Rejects with what the system says. Empty when the file ends there. */
  readonly bytes: Promise<Uint8Array>
}

interface KeptPiece extends Piece {
  readonly key: string
  readonly buffer: Buffer
  /** Bytes that were asked of the file. */
  readonly wanted: number
  users: number
  /** Its reader broke off: the system may go on sending it. */
  isAbandoned: boolean
}

interface Wanted {
  readonly key: string
  readonly position: number
  readonly wanted: number
  /** Of a piece now. */
  readonly length: number
}

/** Of what is left a piece takes so much at most: with half of it six clients that stop take nearly all. */
const shareOfRest = 1 / 3

/** What a small idle piece counts for, so that there are only so many of them. */
const idleBytesMin = 4_096

export class SharedReads {
  readonly #settings: Required<Settings>
  /** By file and first byte: those that are in use, and those that are idle. */
  readonly #pieces = new Map<string, KeptPiece>()
  /** The one that was used longest ago comes first. */
  readonly #idle = new Set<KeptPiece>()
  #idleBytes = 0
  #takenBytes = 0

  constructor(settings: Settings) {
    this.#settings = { takenBytesMax: Infinity, bytesMin: settings.bytes, ...settings }
  }

  /** Of the memory of pieces that somebody reads. */
  get takenBytes(): number {
    return this.#takenBytes
  }

  /** Some of the bytes from `position` on that lie before `end`, and maybe more than those. */
  take(file: SharedFile, position: number, end: number): Piece {
    const length = this.#lengthNow()
    // They end at multiples of their length: who began elsewhere soon shares them with others.
    const wanted = Math.min(end, position + length - (position % length)) - position
    const key = `${file.identity}@${position}`
    const known = this.#pieces.get(key)
    // A file that grows leaves short ones behind.
    if (known !== undefined && known.wanted >= wanted / 2) {
      this.#use(known)
      return known
    }
    return this.#read(file, { key, position, wanted, length })
  }

  /** Of one whose bytes nobody uses any more. */
  async release(taken: Piece): Promise<void> {
    const piece = taken as KeptPiece
    // The kernel may still be writing into it.
    await piece.bytes.catch(() => undefined)
    piece.users -= 1
    if (piece.users > 0) return
    this.#takenBytes -= piece.buffer.length
    const isKept = !piece.isAbandoned && this.#pieces.get(piece.key) === piece
    if (isKept) this.#keep(piece)
    else this.#drop(piece)
  }

  /** Of one whose reader broke off while it was being sent: its memory stays until nothing refers to it. */
  abandon(taken: Piece): Promise<void> {
    const piece = taken as KeptPiece
    piece.isAbandoned = true
    return this.release(piece)
  }

  #use(piece: KeptPiece): void {
    piece.users += 1
    if (piece.users > 1) return
    this.#forgetIdle(piece)
    this.#takenBytes += piece.buffer.length
  }

  #read({ handle }: SharedFile, { key, position, wanted, length }: Wanted): Piece {
    // Small content does not take a large buffer.
    const buffer = this.#findOrMakeBuffer(wanted <= length / 4 ? wanted : length)
    this.#takenBytes += buffer.length
    const bytes = handle
      .read(buffer, 0, wanted, position)
      .then(({ bytesRead }) => buffer.subarray(0, bytesRead))
    const piece = { key, buffer, wanted, bytes, users: 1, isAbandoned: false }
    this.#pieces.set(key, piece)
    // Who comes after a failure reads again, though others may hold this piece for long still. Nobody awaits
    // it before the piece before it was sent: until then its failure is not unhandled.
    bytes.catch(() => this.#forgetKey(piece))
    return piece
  }

  /** Halved again and again, so that pieces begin where larger ones do. */
  #lengthNow(): number {
    const { bytes, bytesMin, takenBytesMax } = this.#settings
    const bytesMax = (takenBytesMax - this.#takenBytes) * shareOfRest
    let length = bytes
    while (length > bytesMax && length > bytesMin) length = Math.ceil(length / 2)
    return length
  }

  /** To free a large buffer and to make another one costs as much as to read into it. */
  #findOrMakeBuffer(length: number): Buffer {
    const isFull = this.#idleBytes + length > this.#idleRoom()
    const isLarge = length >= this.#settings.bytesMin
    const fits = ({ buffer }: KeptPiece): boolean => buffer.length === length
    const idle = isFull && isLarge ? this.#idle.values().find(fits) : undefined
    if (idle === undefined) {
      this.#makeIdleRoom(length)
      return Buffer.allocUnsafeSlow(length)
    }
    this.#forgetIdle(idle)
    this.#forgetKey(idle)
    return idle.buffer
  }

  /** Many who read need the memory themselves. */
  #idleRoom(): number {
    const { idleBytesMax, takenBytesMax } = this.#settings
    return Math.min(idleBytesMax, takenBytesMax - this.#takenBytes)
  }

  #keep(piece: KeptPiece): void {
    this.#idle.add(piece)
    this.#idleBytes += idleBytesOf(piece)
    this.#makeIdleRoom(0)
  }

  #makeIdleRoom(bytes: number): void {
    for (const oldest of this.#idle) {
      if (this.#idleBytes + bytes <= this.#idleRoom()) return
      this.#evict(oldest)
    }
  }

  #evict(piece: KeptPiece): void {
    this.#forgetIdle(piece)
    this.#drop(piece)
  }

  #drop(piece: KeptPiece): void {
    this.#forgetKey(piece)
    if (!piece.isAbandoned) freeBytes(piece.buffer)
  }

  #forgetIdle(piece: KeptPiece): void {
    if (this.#idle.delete(piece)) this.#idleBytes -= idleBytesOf(piece)
  }

  /** Another one may have taken its place. */
  #forgetKey(piece: KeptPiece): void {
    if (this.#pieces.get(piece.key) === piece) this.#pieces.delete(piece.key)
  }
}

function idleBytesOf({ buffer }: KeptPiece): number {
  return Math.max(buffer.length, idleBytesMin)
}
