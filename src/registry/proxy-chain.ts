/**
 * The proxies that a request came through, as entries of `Via` (RFC 9110, 7.6.3). Registries that are
 * each other's upstreams would ask each other until all of them ran into their time-outs; so each
 * adds a name of its own to what it asks, and refuses what it finds that name in.
 */
import { randomBytes } from 'node:crypto'

export interface ChainBounds {
  /** Registries like this one. */
  readonly hopsMax: number
  /** Proxies of any kind. */
  readonly entriesMax: number
}

/** Known to nobody and different after each start, so that no two registries ever share one. */
export function makeProxyName(): string {
  return `trow-${randomBytes(8).toString('hex')}`
}

/** The chain that goes with a request that is made on behalf of another one. */
export function withSelf(via: readonly string[], name: string): string[] {
  return [...via, entryOf(name)]
}

/** Whether the request was here before, or has been passed on so often that it must be going round. */
export function isLoop(
  via: readonly string[],
  name: string,
  { hopsMax, entriesMax }: ChainBounds,
): boolean {
  const hops = via.filter((entry) => / trow-[0-9a-f]{16}$/.test(entry)).length
  return via.includes(entryOf(name)) || hops > hopsMax || via.length > entriesMax
}

/** How to end a loop; follows what says that there is one. */
export const loopAdvice =
  'see to it that the endpoints in registry_proxies.registries of no Trow on the way lead back to ' +
  'one that the request came through, and give each of them all its names (--hostname)'

function entryOf(name: string): string {
  return `1.1 ${name}`
}
