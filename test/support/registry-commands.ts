// `trow ls` and `trow inspect` as a program of their own, which ends as `src/main.ts` does; the
// tests of these two commands spawn it.

import { Command, CommanderError } from 'commander'
import { inspectCommand } from '../../src/cli/inspect.ts'
import { lsCommand } from '../../src/cli/ls.ts'
import { StartError } from '../../src/lib/start-error.ts'

const program = new Command('trow').exitOverride().configureOutput({ writeErr: () => undefined })
for (const command of [lsCommand(), inspectCommand()]) {
  program.addCommand(command.copyInheritedSettings(program))
}
try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    process.stderr.write(`trow: ${error.message}\n`)
    return 2
  }
  if (!(error instanceof StartError)) throw error
  process.stderr.write(`trow: ${error.message}\n`)
  return error.exitCode
}
