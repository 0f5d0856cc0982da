/** A command line that makes no sense: the process ends with exit code 2, as for a wrong flag. */
import { StartError } from '../lib/start-error.ts'

export function usageError(message: string, cause?: unknown): StartError {
  return new StartError(message, { exitCode: 2, cause })
}
