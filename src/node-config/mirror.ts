/**
 * Where a node reaches Trow: `http://10.0.0.1:30500`, always with brackets around an IPv6 address.
 * `$(NAME)` stands for a variable of the environment, as in the arguments of a container, so that one
 * DaemonSet gives every node its own address; Kubernetes itself would put in an IPv6 address without
 * the brackets that a URL needs.
 */
import { isIPv6 } from 'node:net'
import type { Environment } from '../config/sources.ts'
import { formatHostPort, parseHostPort } from '../config/host-port.ts'
import { InvalidSetting } from '../config/invalid-setting.ts'

export interface Mirror {
  /** Without a slash at its end. */
  readonly url: string
  /** `10.0.0.1:30500`, as it stands in names of images. */
  readonly authority: string
  readonly isSecure: boolean
}

const form = 'expected http://HOST:PORT or https://HOST[:PORT]'

/** @throws InvalidSetting */
export function parseMirror(text: string, environment: Environment): Mirror {
  const expanded = expand(text, environment)
  const [, scheme = '', rest = ''] = /^(https?):\/\/(.*?)\/?$/i.exec(expanded) ?? []
  if (scheme === '') throw new InvalidSetting(`${form}, found "${expanded}"`)
  if (/[/?#@]/.test(rest)) {
    throw new InvalidSetting(`${form}, without a path or a login, found "${expanded}"`)
  }
  const { host, port } = parseHostPort(withBrackets(rest))
  const authority = formatHostPort(port === undefined ? { host } : { host, port })
  const isSecure = scheme.toLowerCase() === 'https'
  return { url: `${isSecure ? 'https' : 'http'}://${authority}`, authority, isSecure }
}

function expand(text: string, environment: Environment): string {
  return text.replaceAll(/\$\(([A-Za-z_]\w*)\)/g, (_, name: string) => {
    // Both addresses of a node (`status.hostIPs`) come with a comma.
    const [value = ''] = (environment[name] ?? '').split(',')
    if (value === '') throw new InvalidSetting(`$(${name}) is not in the environment`)
    return isIPv6(value) ? `[${value}]` : value
  })
}

/** A port of five digits cannot be the last group of an address; a shorter one could. */
function withBrackets(authority: string): string {
  const [, address = '', port = ''] = /^([\da-f:.]*:[\da-f:.]*):(\d{5})$/i.exec(authority) ?? []
  if (isIPv6(address)) return `[${address}]:${port}`
  if (!isIPv6(authority)) return authority
  throw new InvalidSetting(`an IPv6 address needs brackets in a URL: [${authority}]:PORT`)
}
