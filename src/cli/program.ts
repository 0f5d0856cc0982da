/**
 * The command line: which commands there are, their flags and help. Whatever is wrong with it ends
 * as a ConfigError, like everything else that is wrong with the configuration.
 */
import { Command, CommanderError, Help } from 'commander'
import { ConfigError } from '../config/config-error.ts'
import { nearest } from '../config/nearest.ts'
import { tlsPairDefault } from '../config/settings.ts'
import { version } from '../config/version.ts'
import { backupCommand, restoreCommand } from './backup.ts'
import { check } from './check.ts'
import { exportCommand } from './export.ts'
import { gcCommand } from './gc.ts'
import type { Host } from './host.ts'
import { importCommand } from './import.ts'
import { inspectCommand } from './inspect.ts'
import { lsCommand } from './ls.ts'
import { mirrorCommand } from './mirror.ts'
import { nodeConfigCommand } from './node-config.ts'
import { policyCommand } from './policy.ts'
import { rmCommand } from './rm.ts'
import { scrubCommand } from './scrub.ts'
import { serve, type StartApp } from './serve.ts'
import { addSettingOptions, readFlags } from './setting-options.ts'
import { startUpLines } from './start-up-lines.ts'
import { upstreamsCommand } from './upstreams.ts'
import { warmCommand } from './warm.ts'
import { webhookCommand } from './webhook.ts'

/**
 * @param args the command line without interpreter and script
 * @throws StartError
 */
export async function runProgram(
  args: readonly string[],
  host: Host,
  startApp: StartApp,
): Promise<void> {
  try {
    await makeProgram(host, startApp).parseAsync(asCommanderReads(args), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode !== 0) throw new ConfigError([explain(inOneLine(error.message))])
  }
}

/** The whole command line, with nothing run. */
export function makeProgram(host: Host, startApp: StartApp): Command {
  const program = new Command('trow')
    .description('The image registry that lives in your Kubernetes cluster.')
    .usage('[serve] [options]\n       trow <command> [options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => host.write(text),
      // Errors are shown once, where the process ends; see runProgram.
      writeErr: () => {},
    })
  program.configureHelp(helpFor(program)).addHelpText('after', examples)
  addSettingOptions(program.command('serve', { isDefault: true }))
    .description('run the registry; this is what happens when no command is named')
    .allowExcessArguments()
    .action(async (_: unknown, command: Command) => {
      refuseWords(program, command)
      const sources = { flags: readFlags(command), environment: host.environment }
      await serve(sources, host, { lines: startUpLines, start: startApp })
    })
  addSettingOptions(program.command('check'), ['--dry-run'])
    .description('validate the configuration and print what would be in force')
    .action(async (_: unknown, command: Command) => {
      await check({ flags: readFlags(command), environment: host.environment }, host)
    })
  const commands = [
    lsCommand(),
    inspectCommand(),
    rmCommand(),
    warmCommand(host),
    upstreamsCommand(),
    gcCommand(host),
    scrubCommand(host),
    backupCommand(host),
    restoreCommand(host),
    importCommand(host),
    mirrorCommand(host),
    exportCommand(host),
    policyCommand(host),
    webhookCommand(host),
    nodeConfigCommand(host),
  ]
  for (const command of commands) {
    program.addCommand(command.copyInheritedSettings(program))
    for (const inner of command.commands) inner.copyInheritedSettings(program)
  }
  return program
}

const examples = `
Examples:
  trow --data-dir /var/lib/trow --user admin --password file:///run/secrets/trow
  trow check --config-file trow.yaml     what would be in force, and every mistake
  trow ls localhost:8000                 what is in the registry that runs here
  trow <command> --help                  the options of a command`

/** `trow --help` shows the flags of `trow serve` too, as they may follow `trow` itself. */
function helpFor(program: Command): Partial<Help> {
  const standard = new Help()
  return {
    minWidthToWrap: 30,
    optionTerm: (option) => (option.long === '--tls' ? '--tls[=<cert,key>]' : option.flags),
    subcommandTerm: (command) =>
      command.commands.length > 0
        ? `${command.name()} <command>`
        : standard.subcommandTerm(command),
    visibleOptions: (command) => {
      const own = standard.visibleOptions(command)
      const serve = program.commands.find((known) => known.name() === 'serve')
      return command === program ? [...own, ...(serve?.options ?? [])] : own
    },
  }
}

/** What is not a command falls to `serve`, the default, which takes flags only. */
function refuseWords(program: Command, command: Command): void {
  const [word] = command.args
  if (word === undefined || (word === 'serve' && command.args.length === 1)) return
  if (word.includes(',') && command.getOptionValue('tls') === tlsPairDefault) {
    command.error(`error: --tls takes its files after an equals sign: --tls=${word}`)
  }
  const names = program.commands.map((known) => known.name())
  if (names.includes(word))
    command.error(`error: put the command before its flags: trow ${word} ...`)
  const near = nearest(word, names)
  const hint = near === undefined ? `commands are ${names.join(', ')}` : `did you mean ${near}?`
  command.error(`error: unknown command '${word}'; ${hint}`)
}

/**
 * `--tls` takes its value only after `=`, so that `trow --tls serve` is no file called serve. `-n=name` is
 * what Trow 0.10 took, beside `-n name`.
 */
export function asCommanderReads(args: readonly string[]): string[] {
  return args.map((arg) => {
    if (arg === '--tls') return `--tls=${tlsPairDefault}`
    return arg.replace(/^(-[A-Za-z])=/, '$1')
  })
}

/** Flags of Trow 0.7 and older. */
const formerFlags: Readonly<Record<string, string>> = {
  '--host': '--bind HOST:PORT',
  '--port': '--bind HOST:PORT',
  '-p': '--bind HOST:PORT',
  '--name': '--hostname NAME',
  '--password-file': '--password file://PATH',
  '--proxy-registry-config-file': '--config-file FILE',
}

function explain(message: string): string {
  const [, flag = '', near] =
    /^unknown option '(-[^']*)'(?: \(Did you mean (\S+)\?\))?/.exec(message) ?? []
  const successor = formerFlags[flag]
  if (successor !== undefined) return `unknown option '${flag}'; use ${successor}`
  return flag !== '' && near === flag
    ? `unknown option '${flag}'; it is one of trow serve`
    : message
}

function inOneLine(message: string): string {
  return message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ')
}
