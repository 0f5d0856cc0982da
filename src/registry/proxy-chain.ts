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

/** How many registries like this one a request came through. */
export function countHops(via: readonly string[]): number {
  return hopsOf(via).length
}

/** Whether the request was here before, or has been passed on so often that it must be going round. */
export function isLoop(
  via: readonly string[],
  name: string,
  { hopsMax, entriesMax }: ChainBounds,
): boolean {
  return via.includes(entryOf(name)) || countHops(via) > hopsMax || via.length > entriesMax
}

/**
 * Which questions may wait for one another's answer, if what is asked may come back: those with the
 * same text. Two registries that each wait for the other one's question would both run into their
 * time-outs, unseen, as no question of theirs comes round. So one may wait for anybody's only when
 * the names on its way, our own at the end, are in ascending order; every circle has a step down, and
 * a question that has taken it goes its own way from there on until it is back where it was.
 */
export function flightOf(via: readonly string[], name: string): string {
  const names = [...hopsOf(via), entryOf(name)]
  const isAscending = names.every((hop, index) => index === 0 || (names[index - 1] ?? '') < hop)
  return isAscending ? '' : via.join()
}

/** How to end a loop; follows what says that there is one. */
export const loopAdvice =
  'see to it that neither the endpoints in registry_proxies.registries nor the default_upstream of any Trow on ' +
  'the way leads back to one that the request came through, and give each of them all its names (--hostname)'

/** Registries like this one. */
function hopsOf(via: readonly string[]): string[] {
  return via.filter((entry) => / trow-[0-9a-f]{16}$/.test(entry))
}

function entryOf(name: string): string {
  return `1.1 ${name}`
}
