/**
 * A list on its way from a registry to standard output: names come in pages, each is completed with
 * what else is to be shown, several at a time, and written in order. A name that cannot be completed
 * is reported and does not stop the others.
 */
import { limits } from '../config/limits.ts'
import { inBatches, mapOrdered } from './concurrency.ts'
import type { EntryWriter } from './entry-writer.ts'
import { pluralOf } from './format.ts'
import { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'

export interface Listing<N, T> {
  readonly names: AsyncIterable<N>
  readonly noun: string
  readonly nameOnly: (name: N) => T
  readonly complete: (name: N) => Promise<T>
  readonly writer: (write: (text: string) => void) => EntryWriter<T>
  readonly quiet: boolean
  /** What is listed, to say that it is empty. */
  readonly place: string
  readonly terminal: Terminal
}

/** @returns how many entries could not be read; each is named on standard error. */
export async function writeEntries<N, T extends { readonly name: string; readonly error?: string }>(
  listing: Listing<N, T>,
): Promise<number> {
  const { names, noun, nameOnly, complete, quiet, place, terminal } = listing
  using progress = new Progress(terminal, pluralOf(noun))
  const writer = listing.writer((text) => {
    progress.clear()
    terminal.write(text)
  })
  let [count, failed] = [0, 0]
  const add = (entry: T) => {
    writer.add(entry)
    progress.step()
    count += 1
    if (entry.error === undefined) return
    failed += 1
    progress.clear()
    terminal.writeError(`trow: ${entry.name}: ${entry.error}\n`)
  }
  try {
    for await (const batch of inBatches(names, limits.upstreamPageEntries)) {
      progress.expect(batch.length)
      if (quiet) batch.map(nameOnly).forEach(add)
      else for await (const entry of mapOrdered(batch, limits.listConcurrency, complete)) add(entry)
    }
  } finally {
    writer.flush()
  }
  writer.end()
  if (count === 0) terminal.writeError(`${place} has no ${pluralOf(noun)}\n`)
  return failed
}

/** The same items, and for an error the one that `explain` makes of it. */
export async function* explained<T>(
  items: AsyncIterable<T>,
  explain: (error: unknown) => unknown,
): AsyncGenerator<T, void, undefined> {
  try {
    yield* items
  } catch (error) {
    throw explain(error)
  }
}
