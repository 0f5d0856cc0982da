/**
 * `trow node-config install --watch`, as a DaemonSet runs it: keeps a node as it has to be until it is
 * stopped, and logs what has changed. What fails is tried again; only a command line that makes no
 * sense ends it.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { installOnNode, uninstallFromNode } from '../node-config/configure-node.ts'
import type { NodeRoot } from '../node-config/node-root.ts'
import type { NodeSettings, Runtime } from '../node-config/runtime.ts'
import type { InstallableName } from '../node-config/runtimes.ts'
import { createLogger, type Logger } from '../telemetry/logger.ts'
import type { Host } from './host.ts'
import type { InstallFlags } from './node-config-flags.ts'

export interface NodePlace {
  readonly name: InstallableName
  readonly runtime: Runtime
  readonly node: NodeRoot
}

interface WatchedNode extends NodePlace {
  readonly loadSettings: () => Promise<NodeSettings>
}

export async function watchNode(
  watched: WatchedNode,
  { interval, uninstallOnExit = false }: InstallFlags,
  host: Host,
): Promise<void> {
  // A wrong command line is told at once; later on the authority may be missing for a moment.
  await watched.loadSettings()
  const log = await createLogger({ level: 'info', format: 'auto', isTerminal: host.isTerminal })
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    host.onSignal(signal, () => stopping.abort(signal))
  }
  const round = makeRound(watched, log)
  while (!stopping.signal.aborted) {
    await round()
    await wait(interval * 1000, undefined, { signal: stopping.signal }).catch(() => undefined)
  }
  if (uninstallOnExit) {
    const files = await uninstallFromNode(watched.runtime, watched.node)
    log.info({ runtime: watched.name, files }, 'this node is as it was before')
  }
  host.exit(0)
}

/** Looks once, and logs what is new since the last time. */
function makeRound(watched: WatchedNode, log: Logger): () => Promise<void> {
  const { name: runtime, node, loadSettings } = watched
  const isNews = newsFilter()
  return async () => {
    try {
      const { files, problems, notes } = await installOnNode(
        watched.runtime,
        await loadSettings(),
        node,
      )
      const isChanged = files.some(({ change }) => change !== 'unchanged')
      const isNew = isNews('state', [problems, notes])
      isNews('failure', undefined)
      if (isChanged || isNew) log.info({ runtime, files }, 'this node is configured')
      if (!isNew) return
      for (const problem of problems) log.warn({ runtime }, problem)
      for (const note of notes) log.info({ runtime }, note)
    } catch (error) {
      if (!isNews('failure', (error as Error).message)) return
      log.error({ err: error, runtime }, 'this node cannot be configured; trying again')
    }
  }
}

/** @returns whether a thing is told for the first time, or otherwise than the last time. */
function newsFilter(): (thing: string, state: unknown) => boolean {
  const told = new Map<string, string>()
  return (thing, state) => {
    const text = JSON.stringify([state])
    if (told.get(thing) === text) return false
    told.set(thing, text)
    return true
  }
}
