/**
 * Keeps requests for hosts that nobody vouched for on the public Internet: https only, and the
 * address that is connected to is one that was checked, so that a name that resolves to something
 * else a moment later (DNS rebinding) leads nowhere. Addresses in a URL never reach a resolver;
 * they are checked before anything is sent. Where a proxy resolves names, only those are checked.
 */
import { lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { Send } from './exchange.ts'
import { isPublicAddress } from './public-address.ts'

/** The way out for whoever may decide it stands in the message. */
export const unlisted = 'it is not listed in registry_proxies.registries'

/** Where names are resolved; `dns.lookup` fits. */
export type Resolver = (
  hostname: string,
  options: { readonly all: true; readonly family?: number; readonly hints?: number },
  callback: (
    error: NodeJS.ErrnoException | null,
    addresses: readonly { readonly address: string; readonly family: number }[],
  ) => void,
) => void

const families: Readonly<Record<string, number>> = { IPv4: 4, IPv6: 6 }

/** A resolver for connections that answers with public addresses only. */
export function guardedLookup(
  resolve: Resolver = systemLookup,
  isAllowed: (address: string) => boolean = isPublicAddress,
): LookupFunction {
  return (hostname, options, callback) => {
    const { family, hints } = options
    const question = {
      all: true,
      ...(family !== undefined && { family: families[family] ?? Number(family) }),
      ...(hints !== undefined && { hints }),
    } as const
    resolve(hostname, question, (error, addresses) => {
      if (error !== null) return callback(error, '')
      const allowed = addresses.filter(({ address }) => isAllowed(address))
      const [first] = allowed
      if (first === undefined) return callback(addressError(hostname, addresses[0]?.address), '')
      if (options.all) return callback(null, [...allowed])
      return callback(null, first.address, first.family)
    })
  }
}

/** The layer over a transport whose connections use `guardedLookup`. */
export function guarded(send: Send, isAllowed = isPublicAddress): Send {
  return async (request) => {
    const { protocol, host, hostname } = request.url
    if (protocol !== 'https:') {
      throw notAsked(host, `${unlisted}, and plain http is only for hosts that are`)
    }
    const address = hostname.replace(/^\[|\]$/g, '')
    if (isIP(address) !== 0 && !isAllowed(address)) throw addressError(host, address)
    return await send(request)
  }
}

function addressError(host: string, address: string | undefined): UpstreamError {
  return notAsked(host, `${unlisted}, and ${address ?? 'its address'} is not a public address`)
}

export function notAsked(host: string, reason: string): UpstreamError {
  return new UpstreamError(`${host} was not asked: ${reason}`, { host, problem: 'address' })
}
