/** Work on a stream of things, several at a time and in order, never more than is asked for. */

/**
 * Yields `map` of every item in the order of the items, with at most `concurrency` at work. Items
 * are taken only as results are, so neither side runs away.
 */
export async function* mapOrdered<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  concurrency: number,
  map: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const running: Promise<R>[] = []
  for await (const item of items) {
    const result = map(item)
    // It is awaited in its turn; until then a failure is not unhandled.
    result.catch(() => undefined)
    running.push(result)
    if (running.length >= concurrency) yield await next(running)
  }
  while (running.length > 0) yield await next(running)
}

async function next<R>(running: Promise<R>[]): Promise<R> {
  const first = running.shift()
  if (first === undefined) throw new RangeError('nothing is running')
  return await first
}

/** Groups of up to `size` items, the last one as long as what is left; no group is empty. */
export async function* inBatches<T>(
  items: AsyncIterable<T>,
  size: number,
): AsyncGenerator<T[], void, undefined> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** Does `work` with each item, up to `concurrency` at a time. The first failure is the last start. */
export async function forEachOf<T>(
  items: Iterable<T>,
  concurrency: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]()
  const failures: unknown[] = []
  const takeTurns = async (): Promise<void> => {
    for (let next = queue.next(); !next.done && failures.length === 0; next = queue.next()) {
      await work(next.value).catch((error: unknown) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: concurrency }, takeTurns))
  if (failures.length > 0) throw failures[0]
}
