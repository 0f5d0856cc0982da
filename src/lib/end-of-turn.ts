/**
 * Puts small pieces of work of one turn of the event loop together: what waits for the end of the
 * turn goes on in one go, in order, when everything that had arrived was looked at.
 */
let ending: Promise<void> | undefined

export function endOfTurn(): Promise<void> {
  ending ??= new Promise((resolve) => {
    setImmediate(() => {
      ending = undefined
      resolve()
    })
  })
  return ending
}
