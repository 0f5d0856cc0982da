/**
 * `trow node-config`: makes a node's container runtime ask Trow first, says whether it does, and takes
 * that away again. The exit code is 3 when everything is written and the runtime does not read it.
 */
import { Command } from 'commander'
import { nearest } from '../config/nearest.ts'
import { inspectNode, installOnNode, uninstallFromNode } from '../node-config/configure-node.ts'
import { detectRuntime } from '../node-config/detect-runtime.ts'
import { NodeRoot } from '../node-config/node-root.ts'
import { type PrintableName, printableNames, printFor } from '../node-config/printouts.ts'
import { type InstallableName, installableNames, makeRuntime } from '../node-config/runtimes.ts'
import { StartError } from '../lib/start-error.ts'
import type { Host } from './host.ts'
import {
  addInstallOptions,
  addMirrorOptions,
  addPlaceOptions,
  addPrintOptions,
  type InstallFlags,
  type MirrorFlags,
  type PlaceFlags,
  type PrintFlags,
  readPlaces,
  readSettings,
} from './node-config-flags.ts'
import { formatPrintouts, formatReport, type ShownReport } from './node-config-report.ts'
import { type NodePlace, watchNode } from './node-config-watch.ts'
import { usageError } from './usage-error.ts'

/** What is wrong is not in our files. */
const exitCodeOfProblem = 3

export function nodeConfigCommand(host: Host): Command {
  const nodeConfig = new Command('node-config')
    .description('make a node pull its images through Trow')
    .usage('<command> [options]')
    .argument('[word...]')
    .action((_: unknown, __: unknown, command: Command) => refuseWord(command))
  addPrintOptions(addMirrorOptions(addPlaceOptions(nodeConfig.command('print'), printableNames)))
    .description('print what has to be on a node')
    .action((flags: PrintFlags) => print(flags, host))
  addInstallOptions(
    addMirrorOptions(addPlaceOptions(nodeConfig.command('install'), installableNames)),
  )
    .description('write it, and keep what was there')
    .action((flags: InstallFlags) => install(flags, host))
  addMirrorOptions(addPlaceOptions(nodeConfig.command('status'), installableNames))
    .description('say whether it is there, and whether the runtime reads it')
    .action((flags: MirrorFlags) => status(flags, host))
  addPlaceOptions(nodeConfig.command('uninstall'), installableNames)
    .description('take it away, and restore what was there')
    .action((flags: PlaceFlags) => uninstall(flags, host))
  return nodeConfig
}

async function print(flags: PrintFlags, host: Host): Promise<void> {
  const { form, root } = flags
  const node = new NodeRoot(root)
  const name = await chooseRuntime<PrintableName>(flags, node)
  // The script looks for the address itself.
  const known = form === 'bootstrap' ? { HOST_IP: '127.0.0.1' } : host.environment
  const settings = await readSettings(flags, known)
  const printouts = await printFor(name, settings, { node, places: readPlaces(flags), form })
  if (flags.format === 'json') host.write(`${JSON.stringify(printouts, undefined, 2)}\n`)
  else host.write(formatPrintouts(printouts))
}

async function install(flags: InstallFlags, host: Host): Promise<void> {
  const place = await findPlace(flags)
  const loadSettings = () => readSettings(flags, host.environment)
  if (flags.watch === true) return await watchNode({ ...place, loadSettings }, flags, host)
  const report = await installOnNode(place.runtime, await loadSettings(), place.node)
  const shown = { runtime: place.name, ...report }
  host.write(formatReport(shown, flags.format))
  refuseProblems(shown)
}

async function status(flags: MirrorFlags, host: Host): Promise<void> {
  const { name, runtime, node } = await findPlace(flags)
  const report = await inspectNode(runtime, await readSettings(flags, host.environment), node)
  host.write(formatReport({ runtime: name, ...report }, flags.format))
  const wrong = report.files.filter(({ change }) => change !== 'unchanged')
  if (wrong.length > 0)
    throw new StartError('this node is not configured, or not as these flags say')
  refuseProblems({ runtime: name, ...report })
}

async function uninstall(flags: PlaceFlags, host: Host): Promise<void> {
  const { name, runtime, node } = await findPlace(flags)
  const files = await uninstallFromNode(runtime, node)
  host.write(formatReport({ runtime: name, files, problems: [], notes: [] }, flags.format))
}

/** @throws StartError when the runtime does not read what is written. */
function refuseProblems({ runtime, problems }: ShownReport): void {
  if (problems.length === 0) return
  throw new StartError(`${runtime} does not use this configuration yet`, {
    exitCode: exitCodeOfProblem,
  })
}

async function findPlace(flags: PlaceFlags): Promise<NodePlace> {
  const node = new NodeRoot(flags.root)
  const name = await chooseRuntime<InstallableName>(flags, node)
  return { name, runtime: makeRuntime(name, readPlaces(flags)), node }
}

async function chooseRuntime<Name extends PrintableName>(
  { runtime, root }: PlaceFlags,
  node: NodeRoot,
): Promise<Name> {
  const name = runtime ?? (await detectRuntime(node))
  if (name === undefined) {
    throw usageError(`no container runtime found at ${root}; name it with --runtime`)
  }
  return name as Name
}

function refuseWord(command: Command): never {
  const names = command.commands.map((known) => known.name())
  const [word] = command.args
  if (word === undefined) return command.error(`error: commands are ${names.join(', ')}`)
  const near = nearest(word, names)
  const hint = near === undefined ? `commands are ${names.join(', ')}` : `did you mean ${near}?`
  return command.error(`error: unknown command '${word}'; ${hint}`)
}
