/** Answers that cost something to get, so that each holds for a while. */

/** Asks again only when so much time has passed since it last asked. */
export function held<T>(ask: () => Promise<T>, holdsSeconds: number): () => Promise<T> {
  let last: { readonly at: number; readonly answer: Promise<T> } | undefined
  return () => {
    const now = performance.now()
    if (last === undefined || now - last.at >= holdsSeconds * 1000) {
      last = { at: now, answer: ask() }
    }
    return last.answer
  }
}
