/**
 * `trow policy`: what the policy for images says, without a cluster. The commands read the same files
 * as the registry does and judge with the same code.
 */
import { Command } from 'commander'
import { makePolicy } from '../config/image-policy.ts'
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import { nearest } from '../config/nearest.ts'
import type { Host } from './host.ts'
import { explainPolicy } from './policy-explain.ts'
import { exportPolicy } from './policy-export.ts'
import { type TestFlags, testPolicy } from './policy-test.ts'
import { collected } from './repeated-flag.ts'
import { addConfigOptions, readFlags } from './setting-options.ts'
import { processTerminal, type Terminal } from './terminal.ts'

export function policyCommand(host: Host, terminal: Terminal = processTerminal): Command {
  const policy = new Command('policy')
    .description('see what the policy for images says')
    .usage('<command> [options]')
    .argument('[word...]')
    .action((_: unknown, __: unknown, command: Command) => refuseWord(command))
  addConfigOptions(policy.command('test'))
    .description('say which images may run and by which rule; exit code 1 when one may not')
    .argument('[images...]', 'images, as pods name them')
    .option(
      '-f, --file <file>',
      'YAML or JSON with pods, Deployments and the like; - for standard input',
    )
    .option('-n, --namespace <namespace>', 'namespace; otherwise that of the object, or "default"')
    .option('--user <name>', 'user who asks, such as system:serviceaccount:shop:deployer')
    .option('--group <name>', 'group that the user is in; repeat it for several', collected)
    .action(async (images: string[], flags: TestFlags, command: Command) => {
      const loaded = await load(command, host)
      await testPolicy({ policy: makePolicy(loaded.config), images, flags }, host, terminal)
    })
  addConfigOptions(policy.command('explain'))
    .description('print the policy as it is understood, rules in the order in which they decide')
    .action(async (_: unknown, command: Command) => {
      const loaded = await load(command, host)
      explainPolicy(loaded.config.imageValidation, host)
    })
  addConfigOptions(policy.command('export'))
    .description('print a ValidatingAdmissionPolicy that does the same as far as it can')
    .action(async (_: unknown, command: Command) => {
      const loaded = await load(command, host)
      exportPolicy(loaded.config.imageValidation, host)
    })
  return policy
}

function refuseWord(command: Command): never {
  const names = command.commands.map((known) => known.name())
  const [word] = command.args
  if (word === undefined) return command.error(`error: commands are ${names.join(', ')}`)
  const near = nearest(word, names)
  const hint = near === undefined ? `commands are ${names.join(', ')}` : `did you mean ${near}?`
  return command.error(`error: unknown command '${word}'; ${hint}`)
}

/** Flags of the commands that have the names of settings and are none. */
const ownFlags = ['--user', '--group', '--file', '--namespace']

/** @throws ConfigError */
async function load(command: Command, host: Host): Promise<LoadedConfig> {
  const loaded = await loadConfig({
    flags: readFlags(command, ownFlags),
    environment: host.environment,
  })
  for (const warning of loaded.warnings) host.writeError(`trow: warning: ${warning}\n`)
  return loaded
}
