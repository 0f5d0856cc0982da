/**
 * What a command may ask of the process it runs in. `main.ts` provides it; nothing else touches
 * signals or the exit code.
 */
import type { Environment } from '../config/sources.ts'

export interface Host {
  readonly environment: Environment
  readonly isTerminal: boolean
  /** Standard output. */
  write(text: string): void
  /** Standard error. */
  writeError(text: string): void
  /** From now on the signal does this and no longer ends the process. */
  onSignal(signal: NodeJS.Signals, listener: () => void): void
  /** Called with an error that nobody handled, just before the process ends because of it. */
  onFatal(listener: (error: unknown) => void): void
  exit(code: number): never
}
