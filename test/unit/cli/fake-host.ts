/** A process for commands under test: records what is written and how it ends, and takes signals. */
import type { Host } from '../../../src/cli/host.ts'
import type { Environment } from '../../../src/config/sources.ts'

/** Thrown in place of the end of the process. */
export class Exit extends Error {
  readonly code: number

  constructor(code: number) {
    super(`exit ${code}`)
    this.code = code
  }
}

export class FakeHost implements Host {
  readonly environment: Environment
  readonly isTerminal = false
  out = ''
  errors = ''
  readonly #listeners = new Map<NodeJS.Signals, () => void>()

  constructor(environment: Environment = {}) {
    this.environment = environment
  }

  write(text: string): void {
    this.out += text
  }

  writeError(text: string): void {
    this.errors += text
  }

  onSignal(signal: NodeJS.Signals, listener: () => void): void {
    this.#listeners.set(signal, listener)
  }

  onFatal(): void {}

  exit(code: number): never {
    throw new Exit(code)
  }

  /** @throws Error when nobody listens */
  signal(signal: NodeJS.Signals): void {
    const listener = this.#listeners.get(signal)
    if (listener === undefined) throw new Error(`nobody listens to ${signal}`)
    listener()
  }
}
