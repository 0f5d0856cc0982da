/**
 * Pieces of files in memory, each read once for all who want it at about the same time: the nodes of a
 * cluster pull the same layers together. Large pieces cost the least time, and few files are read by them; many
 * share what memory there is, so that it does not grow with their number. Slow clients hold their pieces for as long as
 * they like: beyond the bound a reader gets small ones.
 */
import type { FileHandle } from 'node:fs/promises'
import { freeBytes } from '../../lib/free-bytes.ts'

interface Settings {
  /** Of a piece, at most. */
  readonly bytes: number
  /**
   * Bytes of pieces that nobody reads now, kept for the next reader of the same file or of another:
   * of what those in use leave of `takenBytesMax`.
   */
  readonly idleBytesMax: number
  /** Bytes of all pieces in use, shared by their readers; beyond it these get `bytesBeyond`. */
  readonly takenBytesMax?: number
  readonly bytesBeyond?: number
}

export interface SharedFile {
  readonly handle: FileHandle
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

/** What a reader has: one is sent, the next one is filled. */
const piecesPerReader = 2

/** What a small idle piece counts for, so that there are only so many of them. */
const idleBytesMin = 4_096

export class SharedReads {
  readonly #settings: Required<Settings>
  /** By file and first byte: those that are in use, and those that are idle. */
  readonly #pieces = new Map<string, KeptPiece>()
  /** The one that was used longest ago comes first. */
  readonly #idle = new Set<KeptPiece>()
  #idleBytes = 0
  /** Of the pieces that are read now. */
  #length: number
  #takenBytes = 0
  /** How many there are of each file. */
  readonly #readers = new Map<string, number>()

  constructor(settings: Settings) {
    this.#settings = { takenBytesMax: Infinity, bytesBeyond: settings.bytes, ...settings }
    this.#length = settings.bytes
  }

  /** Of the memory of pieces that somebody reads. */
  get takenBytes(): number {
    return this.#takenBytes
  }

  /** To be called by whoever is about to take pieces of the file, until it disposes of this. */
  join({ identity }: SharedFile): Disposable {
    this.#countReaders(identity, 1)
    return { [Symbol.dispose]: () => this.#countReaders(identity, -1) }
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
    const isRead = await piece.bytes.then(
      () => true,
      () => false,
    )
    piece.users -= 1
    if (piece.users > 0) return
    this.#takenBytes -= piece.buffer.length
    const isKept = isRead && !piece.isAbandoned && this.#pieces.get(piece.key) === piece
    if (isKept && piece.buffer.length <= this.#length) this.#keep(piece)
    else this.#drop(piece)
  }

  /** Of one whose reader broke off while it was being sent: its memory stays until nothing refers to it. */
  abandon(taken: Piece): Promise<void> {
    const piece = taken as KeptPiece
    piece.isAbandoned = true
    return this.release(piece)
  }

  /** Readers of one file have pieces in common: what memory there is is shared by files. */
  #countReaders(identity: string, more: number): void {
    const { bytes, takenBytesMax, bytesBeyond } = this.#settings
    const readers = (this.#readers.get(identity) ?? 0) + more
    if (readers > 0) this.#readers.set(identity, readers)
    else this.#readers.delete(identity)
    const share = takenBytesMax / (Math.max(this.#readers.size, 1) * piecesPerReader)
    // Halved again and again, so that readers that come and go do not change it each time.
    let length = bytes
    while (length > share && length > bytesBeyond) length = Math.ceil(length / 2)
    this.#length = length
    for (const piece of this.#idle) if (piece.buffer.length > length) this.#evict(piece)
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
    // It is awaited after the piece before was sent; until then its failure is not unhandled.
    bytes.catch(() => undefined)
    this.#pieces.set(key, piece)
    return piece
  }

  #lengthNow(): number {
    const { takenBytesMax, bytesBeyond } = this.#settings
    const isBeyond = this.#takenBytes + this.#length > takenBytesMax
    return isBeyond ? Math.min(this.#length, bytesBeyond) : this.#length
  }

  #findOrMakeBuffer(length: number): Buffer {
    while (this.#idleBytes + length > this.#idleRoom()) {
      const [oldest] = this.#idle
      if (oldest === undefined) break
      if (oldest.buffer.length === length) {
        this.#forgetIdle(oldest)
        this.#forgetKey(oldest)
        return oldest.buffer
      }
      this.#evict(oldest)
    }
    return Buffer.allocUnsafeSlow(length)
  }

  /** Many who read need the memory themselves. */
  #idleRoom(): number {
    const { idleBytesMax, takenBytesMax } = this.#settings
    return Math.min(idleBytesMax, takenBytesMax - this.#takenBytes)
  }

  #keep(piece: KeptPiece): void {
    this.#idle.add(piece)
    this.#idleBytes += idleBytesOf(piece)
    while (this.#idleBytes > this.#idleRoom()) {
      const [oldest] = this.#idle
      if (oldest === undefined) break
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
