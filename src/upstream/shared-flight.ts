/**
 * One piece of work for all who need its result at the same time. A waiter that goes away does not
 * stop it for the others; when the last one has gone it is aborted.
 */

interface Flight<T> {
  readonly result: Promise<T>
  readonly controller: AbortController
  waiters: number
}

export class SharedFlight<T> {
  readonly #flights = new Map<string, Flight<T>>()

  /** The result of the work under way for `key`, or of `start`, which begins it. */
  async join(
    key: string,
    signal: AbortSignal,
    start: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted()
    const flight = this.#flights.get(key) ?? this.#begin(key, start)
    flight.waiters += 1
    try {
      return await abortable(flight.result, signal)
    } finally {
      flight.waiters -= 1
      if (flight.waiters === 0) this.#end(key, flight)
    }
  }

  #begin(key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> {
    const controller = new AbortController()
    const flight = { result: start(controller.signal), controller, waiters: 0 }
    this.#flights.set(key, flight)
    const forget = () => this.#forget(key, flight)
    flight.result.then(forget, forget)
    return flight
  }

  #end(key: string, flight: Flight<T>): void {
    this.#forget(key, flight)
    flight.controller.abort()
  }

  #forget(key: string, flight: Flight<T>): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key)
  }
}

/** Settles as `promise` does, or throws the signal's reason when it is aborted first. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
