/**
 * How a list is written as it comes, whatever it lists: names for programs that read lines, a JSON
 * document with one entry a line, or a table for people. Nothing is held back but a few rows.
 */
import { Table } from './table.ts'
import type { Terminal } from './terminal.ts'

export interface EntryWriter<T> {
  add(entry: T): void
  /** Writes what is held back, as the list breaks off here or ends. */
  flush(): void
  end(): void
}

export type Write = (text: string) => void

export function nameWriter(write: Write): EntryWriter<{ readonly name: string }> {
  return { add: ({ name }) => write(`${name}\n`), flush: nothing, end: nothing }
}

function nothing(): void {}

/** @param head the document's fields before the list. */
export function jsonWriter<T>(write: Write, head: object, field: string): EntryWriter<T> {
  const opening = JSON.stringify(head).slice(0, -1)
  let separator = `${opening},${JSON.stringify(field)}:[\n`
  return {
    add(entry) {
      write(separator + JSON.stringify(entry))
      separator = ',\n'
    },
    flush: nothing,
    end() {
      write(separator === ',\n' ? '\n]}\n' : `${separator}]}\n`)
    },
  }
}

export interface TableColumns<T> {
  readonly titles: readonly string[]
  readonly numeric: readonly string[]
  /** An entry's rows, with a cell for each title. */
  readonly rowsOf: (entry: T) => readonly (readonly string[])[]
}

export function tableWriter<T>(
  write: Write,
  terminal: Terminal,
  { titles, numeric, rowsOf }: TableColumns<T>,
): EntryWriter<T> {
  const table = new Table({ titles, numeric, write, styleTitles: (text) => terminal.dim(text) })
  return {
    add(entry) {
      for (const row of rowsOf(entry)) table.add(row)
    },
    flush: () => table.flush(),
    end: nothing,
  }
}
