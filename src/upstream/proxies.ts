/**
 * Which HTTP proxy a request goes through: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the
 * environment, in lower case too, as containerd reads them (Go's net/http). Loopback addresses are
 * never reached through a proxy. A proxy's user and password are in no text that this file makes.
 */
import { BlockList, isIP } from 'node:net'
import { parseAddressRange, toBlockList } from '../config/address-range.ts'
import { UpstreamError } from '../oci/upstream-error.ts'

type Environment = Readonly<Record<string, string | undefined>>

interface Exemption {
  fits(hostname: string, port: string): boolean
}

const defaultPorts: Readonly<Record<string, string>> = { 'https:': '443', 'http:': '80' }

export class Proxies {
  readonly #settings: Readonly<Record<string, { readonly name: string; readonly value: string }>>
  readonly #exemptions: readonly Exemption[]

  constructor(environment: Environment) {
    const read = (name: string): string =>
      environment[name] || environment[name.toLowerCase()] || ''
    this.#settings = {
      'https:': { name: 'HTTPS_PROXY', value: read('HTTPS_PROXY').trim() },
      'http:': { name: 'HTTP_PROXY', value: read('HTTP_PROXY').trim() },
    }
    this.#exemptions = parseExemptions(read('NO_PROXY'))
  }

  /**
   * The proxy for a URL, with user and password where it has some.
   * @throws UpstreamError when the setting is of no use.
   */
  find(url: URL): URL | undefined {
    const setting = this.#settings[url.protocol]
    if (setting === undefined || setting.value === '') return undefined
    const hostname = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
    const port = url.port || (defaultPorts[url.protocol] ?? '')
    if (isLoopback(hostname)) return undefined
    if (this.#exemptions.some((exemption) => exemption.fits(hostname, port))) return undefined
    return parseProxy(setting.value) ?? fail(url.host, setting.name)
  }

  /** What is in force, for the log: `HTTPS_PROXY` and host of the proxy; undefined for nothing. */
  describe(): Readonly<Record<string, string>> | undefined {
    const shown = Object.values(this.#settings)
      .filter(({ value }) => value !== '')
      .map(
        ({ name, value }) => [name, parseProxy(value)?.host ?? 'not the URL of a proxy'] as const,
      )
    return shown.length === 0 ? undefined : Object.fromEntries(shown)
  }
}

/** `proxy.example:3128` is short for `http://proxy.example:3128`. */
function parseProxy(text: string): URL | undefined {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  return url !== null && /^https?:$/.test(url.protocol) ? url : undefined
}

function fail(host: string, name: string): never {
  throw new UpstreamError(
    `${host} cannot be asked: ${name} of the environment is not the URL of an HTTP proxy, ` +
      'such as http://proxy.example:3128',
    { host, problem: 'connection' },
  )
}

function isLoopback(hostname: string): boolean {
  if (isIP(hostname) === 0) return hostname === 'localhost' || hostname.endsWith('.localhost')
  return loopback.check(hostname, isIP(hostname) === 6 ? 'ipv6' : 'ipv4')
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Names, of which each stands for all below it too, addresses, networks, or `*` for everything. */
function parseExemptions(text: string): Exemption[] {
  return text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map((entry) => networkOf(entry) ?? nameOf(entry))
}

function networkOf(entry: string): Exemption | undefined {
  const [, bracketed, v6Port] = /^\[(.*)\](?::(\d+))?$/.exec(entry) ?? []
  const [, plain = entry, v4Port] = /^([\d.]+):(\d+)$/.exec(entry) ?? []
  const port = v6Port ?? v4Port
  let list: BlockList
  try {
    list = toBlockList([parseAddressRange(bracketed ?? plain)])
  } catch {
    return undefined
  }
  return {
    fits: (hostname, asked) =>
      isIP(hostname) !== 0 &&
      list.check(hostname, isIP(hostname) === 6 ? 'ipv6' : 'ipv4') &&
      (port === undefined || port === asked),
  }
}

function nameOf(entry: string): Exemption {
  const [, name = entry, port] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? []
  if (name === '*') return { fits: () => true }
  const domain = name.replace(/^\*(?=\.)/, '')
  const below = domain.startsWith('.') ? domain : `.${domain}`
  return {
    fits: (hostname, asked) =>
      (hostname.endsWith(below) || hostname === domain) && (port === undefined || port === asked),
  }
}
