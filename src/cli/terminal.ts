/**
 * Where a command that talks to people reads and writes: the process's own streams, or a test's.
 * Colours appear only on a terminal whose user has not turned them off (NO_COLOR).
 */
import { homedir } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { styleText } from 'node:util'

export interface Terminal {
  readonly environment: NodeJS.ProcessEnv
  readonly homeDirectory: string
  /** Characters a line of standard error has; undefined when it is no terminal. */
  readonly errorColumns: number | undefined
  write(content: string | Uint8Array): void
  writeError(text: string): void
  /** Standard input up to its end, or to one byte over `bytesMax`. */
  readInput(bytesMax: number): Promise<Buffer>
  /** Asks whoever sits at the terminal. @returns undefined where nobody does. */
  ask(question: string): Promise<string | undefined>
  emphasize(text: string): string
  dim(text: string): string
}

export const processTerminal: Terminal = {
  environment: process.env,
  get homeDirectory() {
    try {
      return homedir()
    } catch {
      // A user without a name, as DynamicUser of systemd and OpenShift have it.
      return '/'
    }
  },
  get errorColumns() {
    // Some terminals do not know their size.
    return process.stderr.isTTY ? process.stderr.columns || 80 : undefined
  },
  write: (content) => void process.stdout.write(content),
  writeError: (text) => void process.stderr.write(text),
  readInput: async (bytesMax) => await readUpTo(process.stdin, bytesMax + 1),
  ask: async (question) => {
    if (!process.stdin.isTTY) return undefined
    using lines = createInterface({ input: process.stdin, output: process.stderr })
    return await lines.question(question)
  },
  emphasize: (text) => styleText('bold', text, { stream: process.stdout }),
  dim: (text) => styleText('dim', text, { stream: process.stdout }),
}

async function readUpTo(stream: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    size += chunk.length
    if (size >= bytesMax) break
  }
  return Buffer.concat(chunks).subarray(0, bytesMax)
}
