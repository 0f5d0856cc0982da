/**
 * Something outside the program keeps it from starting: a port in use, a directory it may not write.
 * The message is one line for the operator, what is wrong and what to do; no stack is shown.
 */
export class StartError extends Error {
  override readonly name: string = 'StartError'
  /** The process's exit code. */
  readonly exitCode: number

  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.exitCode = options.exitCode ?? 1
  }
}
