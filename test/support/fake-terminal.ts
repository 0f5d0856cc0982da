// A terminal that keeps what is written to it.

import type { Terminal } from '../../src/cli/terminal.ts'

export class FakeTerminal implements Terminal {
  readonly environment = {}
  readonly homeDirectory = '/no-such-file'
  readonly errorColumns: number | undefined
  output = ''
  errors = ''

  constructor(errorColumns?: number) {
    this.errorColumns = errorColumns
  }

  write(content: string | Uint8Array): void {
    this.output += typeof content === 'string' ? content : Buffer.from(content).toString()
  }

  writeError(text: string): void {
    this.errors += text
  }

  async readInput(): Promise<Buffer> {
    return Buffer.alloc(0)
  }

  /** What is answered; nobody is there when it is undefined. */
  answer: string | undefined

  async ask(question: string): Promise<string | undefined> {
    this.errors += question
    return this.answer
  }

  emphasize(text: string): string {
    return text
  }

  dim(text: string): string {
    return text
  }
}
