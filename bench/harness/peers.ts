// The registries that Trow is measured beside: each starts as a new process on an empty directory.

import type { Bench } from './bench.ts'
import { findDistributions, startDistribution } from './distribution.ts'
import type { Server } from './server.ts'
import { hasZot, startZot } from './zot.ts'

export interface Peer {
  readonly name: string
  readonly start: () => Promise<Server>
}

/** Those that are here; what is not is noted. @throws without docker-registry. */
export function findPeers(bench: Bench): Peer[] {
  const peers: Peer[] = findDistributions(bench).map((name) => ({
    name,
    start: () => startDistribution(bench, name),
  }))
  if (hasZot(bench)) peers.push({ name: 'zot', start: () => startZot(bench) })
  return peers
}
