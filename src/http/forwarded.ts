/**
 * How the client reached this registry, behind proxies too: `Forwarded` (RFC 7239), else the older
 * `X-Forwarded-*`. They count only when the peer is a trusted proxy, and what is malformed does not
 * count; nothing gets into a URL that is not a plain host and port.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { isIPv6, type BlockList } from 'node:net'
import { parseAddress } from '../lib/ip-address.ts'
import { isTrusted, parseHop, walkHops } from './client-address.ts'

/** When the connection is gone already, its peer has no address. */
const unknownAddress = 'unknown'

export interface Connection {
  /** Of the socket. */
  readonly remoteAddress: string | undefined
  readonly isTls: boolean
  readonly headers: IncomingHttpHeaders
}

export interface ClientView {
  readonly proto: 'http' | 'https'
  /** `HOST[:PORT]`; undefined when the client sent none, or nothing that could be one. */
  readonly host: string | undefined
  readonly clientAddress: string
  /** Whether a proxy told `proto` or `host`: then absolute URLs are right, and relative ones may not be. */
  readonly external: boolean
}

interface Told {
  readonly proto?: 'http' | 'https' | undefined
  readonly host?: string | undefined
}

export function clientView(connection: Connection, trusted: BlockList): ClientView {
  const { headers, isTls, remoteAddress } = connection
  const direct = { proto: isTls ? 'https' : 'http', host: parseHost(headers.host) } as const
  const peer = parseAddress(remoteAddress ?? '')
  if (peer === undefined || !tellsAnything(headers) || !isTrusted(peer, trusted)) {
    return { ...direct, clientAddress: peer ?? unknownAddress, external: false }
  }
  const elements = parseForwarded(joined(headers['forwarded'])) ?? []
  const standard = toldByForwarded(peer, elements, trusted)
  const told = standard.proto || standard.host ? standard : toldByOlderHeaders(headers, direct.host)
  return {
    proto: told.proto ?? direct.proto,
    host: told.host ?? direct.host,
    clientAddress: agreedAddress(peer, elements, headers, trusted),
    external: told.proto !== undefined || told.host !== undefined,
  }
}

function tellsAnything(headers: IncomingHttpHeaders): boolean {
  return (
    headers['forwarded'] !== undefined ||
    headers['x-forwarded-for'] !== undefined ||
    headers['x-forwarded-proto'] !== undefined ||
    headers['x-forwarded-host'] !== undefined ||
    headers['x-forwarded-port'] !== undefined
  )
}

/**
 * A proxy that writes one kind of header lets the other through as the client sent it. So when both
 * are there and differ, neither is believed: a client could take any address to log in from.
 */
function agreedAddress(
  peer: string,
  elements: readonly ForwardedElement[],
  headers: IncomingHttpHeaders,
  trusted: BlockList,
): string {
  const older = list(headers['x-forwarded-for']).map(parseHop)
  const byOlder = walkHops(peer, older, trusted).address
  if (!elements.some((element) => element.has('for'))) return byOlder
  const byStandard = walkHops(peer, hopsOf(elements), trusted).address
  return older.length === 0 || byOlder === byStandard ? byStandard : peer
}

function hopsOf(elements: readonly ForwardedElement[]): (string | undefined)[] {
  return elements.map((element) => parseHop(element.get('for') ?? ''))
}

/** Of what trusted proxies told, the leftmost is from the one that the client talked to. */
function toldByForwarded(
  peer: string,
  elements: readonly ForwardedElement[],
  trusted: BlockList,
): Told {
  const { believed } = walkHops(peer, hopsOf(elements), trusted)
  const told = elements.slice(elements.length - believed)
  return {
    proto: told.map((element) => parseProto(element.get('proto'))).find(Boolean),
    host: told.map((element) => parseHost(element.get('host'))).find(Boolean),
  }
}

/**
 * These are not tied to hops. The leftmost is taken: an outer proxy knows what the client asked for.
 * A client may have invented it, and is then the only one to get URLs of its own invention.
 */
function toldByOlderHeaders(headers: IncomingHttpHeaders, directHost: string | undefined): Told {
  const proto = parseProto(list(headers['x-forwarded-proto'])[0])
  const host = parseHost(list(headers['x-forwarded-host'])[0])
  const port = parsePort(list(headers['x-forwarded-port'])[0])
  return { proto, host: withPort(host ?? (port && directHost), port) }
}

/** 80 and 443 are left out: proxies that chain confuse them, and a URL needs neither. */
function withPort(host: string | undefined, port: string | undefined): string | undefined {
  if (host === undefined || port === undefined || /:\d+$/.test(host)) return host
  return port === '80' || port === '443' ? host : `${host}:${port}`
}

function parseProto(value: string | undefined): 'http' | 'https' | undefined {
  const proto = value?.toLowerCase()
  return proto === 'http' || proto === 'https' ? proto : undefined
}

function parsePort(value: string | undefined): string | undefined {
  if (value === undefined || !/^[1-9]\d{0,4}$/.test(value)) return undefined
  return Number(value) <= 65_535 ? value : undefined
}

const hostAndPort = /^([a-z0-9._-]{1,253}|\[([0-9a-f:.]+)\])(?::(\d+))?$/i

/** `HOST[:PORT]` of letters, digits, dots and dashes, or `[IPV6][:PORT]`; nothing else. */
export function parseHost(value: string | undefined): string | undefined {
  const [whole, , ipv6, port] = hostAndPort.exec(value ?? '') ?? []
  if (ipv6 !== undefined && !isIPv6(ipv6)) return undefined
  if (port !== undefined && parsePort(port) === undefined) return undefined
  return whole
}

/** Parameters by name in lower case. */
export type ForwardedElement = ReadonlyMap<string, string>

const parameter =
  /[ \t]*(?:([!#$%&'*+.^_`|~0-9a-z-]+)=(?:([!#$%&'*+.^_`|~0-9a-z-]+)|"((?:[^"\\]|\\.)*)")[ \t]*)?([;,]|$)/iy

/** @returns undefined unless all of the value is as RFC 7239, 4, has it. */
export function parseForwarded(value: string | undefined): ForwardedElement[] | undefined {
  if (value === undefined) return undefined
  const elements: ForwardedElement[] = []
  let element = new Map<string, string>()
  parameter.lastIndex = 0
  for (;;) {
    const [, name, token, quoted = '', end] = parameter.exec(value) ?? []
    const key = name?.toLowerCase()
    if (end === undefined || (key !== undefined && element.has(key))) return undefined
    if (key !== undefined) element.set(key, token ?? quoted.replace(/\\(.)/g, '$1'))
    if (end === ';') continue
    if (element.size > 0) elements.push(element)
    element = new Map()
    if (end === '') return elements
  }
}

function joined(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'object' ? value.join(',') : value
}

function list(value: string | readonly string[] | undefined): string[] {
  const text = joined(value)
  return text === undefined ? [] : text.split(',').map((entry) => entry.trim())
}
