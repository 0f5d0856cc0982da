/**
 * Whether the file of a database was cut short since it was opened. SQLite looks at its size now and then
 * only, and fills what is missing with zeros, in which there are no rows: a list would be empty.
 */
import { type BigIntStats, statSync } from 'node:fs'

export class SqliteSize {
  /** After a clean end all of the database is in its file. */
  readonly #hadLog: boolean
  /** The file when it had the most: it does not shrink by what Trow does. */
  #largest: Pick<BigIntStats, 'ino' | 'dev' | 'size'> | undefined

  /** To be made before the database is opened. */
  constructor(path: string) {
    this.#hadLog = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
  }

  /** @param needed how many bytes it has to have, by what SQLite knows. */
  isCut(file: BigIntStats, needed: () => bigint): boolean {
    const { ino, dev, size } = this.#largest ?? file
    const isSame = file.ino === ino && file.dev === dev
    const isFirst = this.#largest === undefined && !this.#hadLog
    // Another program may have made it smaller: `sqlite3 metadata.db vacuum`.
    if ((isFirst || (isSame && file.size < size)) && file.size < needed()) return true
    this.#largest = file
    return false
  }
}
