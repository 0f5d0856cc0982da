/** Two lists in the order of their digests, as one: what is in both stands together. */
import type { StoredBlob } from './ports/blob-store.ts'
import type { BlobRecord } from './ports/records.ts'

export interface Merged {
  readonly row?: BlobRecord
  readonly stored?: StoredBlob
}

export async function* mergeByDigest(
  rows: AsyncIterable<readonly BlobRecord[]>,
  stored: AsyncIterable<readonly StoredBlob[]>,
): AsyncGenerator<Merged> {
  const [left, right] = [flat(rows), flat(stored)]
  let [row, blob] = [await take(left), await take(right)]
  while (row !== undefined || blob !== undefined) {
    if (row !== undefined && (blob === undefined || row.digest < blob.digest)) {
      yield { row }
      row = await take(left)
    } else if (blob !== undefined && (row === undefined || blob.digest < row.digest)) {
      yield { stored: blob }
      blob = await take(right)
    } else if (row !== undefined && blob !== undefined) {
      yield { row, stored: blob }
      row = await take(left)
      blob = await take(right)
    }
  }
}

async function* flat<T>(pages: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const page of pages) yield* page
}

async function take<T>(values: AsyncGenerator<T>): Promise<T | undefined> {
  const next = await values.next()
  return next.done === true ? undefined : next.value
}
