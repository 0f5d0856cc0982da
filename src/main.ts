/**
 * The process: command line in, exit code out. The only file that reads argv, handles signals and
 * sets the exit code.
 */
import type { Host } from './cli/host.ts'
import { runProgram } from './cli/program.ts'
import { StartError } from './lib/start-error.ts'

/** EX_SOFTWARE of sysexits.h: a defect of the program. */
const exitCodeOfDefect = 70

/** Of a server, which has a log by then. */
let reportFatal: ((error: unknown) => void) | undefined

const host: Host = {
  environment: process.env,
  isTerminal: process.stdout.isTTY,
  write: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(text),
  onSignal: (signal, listener) => void process.on(signal, listener),
  onFatal: (listener) => (reportFatal = listener),
  exit: (code) => process.exit(code),
}

function fail(error: unknown): never {
  if (error instanceof StartError || (reportFatal === undefined && isOfSystem(error))) {
    console.error(`trow: ${error.message}`)
    process.exit(error instanceof StartError ? error.exitCode : 1)
  }
  if (reportFatal === undefined) console.error(error)
  else reportFatal(error)
  process.exit(exitCodeOfDefect)
}

/** What the system refuses a command is no defect: a full disk behind its standard output, for one. */
function isOfSystem(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'errno' in error
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') fail(error)
  // Nobody reads any more. A command has nothing left to do; a server goes on.
  if (process.listenerCount('SIGTERM') === 0) process.exit(0)
})

try {
  await runProgram(process.argv.slice(2), host, async (...args) => {
    const { App } = await import('./app.ts')
    return App.start(...args)
  })
} catch (error) {
  fail(error)
}
