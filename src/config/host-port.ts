/**
 * `HOST`, `HOST:PORT`, `IP`, `[IPV6]:PORT` and bare IPv6 addresses: the addresses that people write
 * for what to listen on, what a registry is called and where another registry is.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { InvalidSetting } from './invalid-setting.ts'

export interface HostPort {
  /** An IPv6 address is without brackets. */
  readonly host: string
  readonly port?: number
}

export interface BindAddress extends HostPort {
  readonly port: number
}

const bindPortDefault = 8000
const bracketed = /^\[([^\]]*)\](?::(.*))?$/
const plain = /^([^:]*)(?::(.*))?$/
const hostName =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/i

/** @throws InvalidSetting */
export function parseHostPort(text: string): HostPort {
  if (isIPv6(text)) return { host: text }
  if (text.includes('/')) throw new InvalidSetting(reason(text))
  const [, inBrackets, portOfBrackets] = bracketed.exec(text) ?? []
  if (inBrackets !== undefined) {
    if (!isIPv6(inBrackets)) throw new InvalidSetting(`"${inBrackets}" is not an IPv6 address`)
    return withPort(inBrackets, portOfBrackets)
  }
  const [, host, port] = plain.exec(text) ?? []
  if (host === undefined || !isHost(host)) throw new InvalidSetting(reason(text))
  return withPort(host.toLowerCase(), port)
}

/** @throws InvalidSetting */
export function parseBindAddress(text: string, portDefault = bindPortDefault): BindAddress {
  if (/^:?\d+$/.test(text)) {
    throw new InvalidSetting(
      `"${text}" is only a port; for all addresses write "[::]:${text.replace(':', '')}"`,
    )
  }
  return { port: portDefault, ...parseHostPort(text) }
}

export function formatHostPort({ host, port }: HostPort): string {
  const text = isIPv6(host) ? `[${host}]` : host
  return port === undefined ? text : `${text}:${port}`
}

/** Digits and dots that are no IPv4 address are a slip, not a name. */
function isHost(host: string): boolean {
  return isIPv4(host) || (hostName.test(host) && !/^[\d.]+$/.test(host))
}

function withPort(host: string, port: string | undefined): HostPort {
  if (port === undefined) return { host }
  if (/^\d{1,5}$/.test(port) && Number(port) <= 65_535) return { host, port: Number(port) }
  throw new InvalidSetting(`"${port}" is not a port, a number from 0 to 65535`)
}

function reason(text: string): string {
  const form = 'expected HOST, HOST:PORT, IP, IP:PORT or [IPV6]:PORT'
  if (text.includes('://')) return `${form}, without "${text.slice(0, text.indexOf('://') + 3)}"`
  if (text.includes('/')) return `${form}, without a path`
  return `${form}, found "${text}"`
}
