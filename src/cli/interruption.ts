/** Ctrl-C of a command that ends in good order. */
import { constants } from 'node:os'
import { StartError } from '../lib/start-error.ts'
import type { Host } from './host.ts'

/**
 * Aborted by the first signal to stop; the second ends the process.
 * @param message what it leaves behind.
 */
export function interruption(host: Pick<Host, 'onSignal' | 'exit'>, message: string): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    const exitCode = 128 + constants.signals[name]
    host.onSignal(name, () => {
      if (controller.signal.aborted) host.exit(exitCode)
      controller.abort(new StartError(message, { exitCode }))
    })
  }
  return controller.signal
}
