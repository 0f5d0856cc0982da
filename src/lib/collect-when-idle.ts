/**
 * Collects garbage once, as soon as there is nothing to do: what a start leaves behind would stay until V8 needs
 * room for more, and with an idle process that is never.
 */

interface Settings {
  readonly intervalMs: number
  /** Of the time of the event loop: beyond it the process is not idle. */
  readonly utilizationMax: number
}

export function collectWhenIdle(
  collect: () => void,
  { intervalMs, utilizationMax }: Settings,
): Disposable {
  let before = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    if (utilization > utilizationMax) return
    clearInterval(timer)
    collect()
  }, intervalMs)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
