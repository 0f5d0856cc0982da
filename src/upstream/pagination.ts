/**
 * Pages of a list, followed by their `Link` headers (specification, "Listing Tags"; RFC 8288), on
 * the registry's own host only and never in a circle.
 */
import { contentError, headerOf, type UpstreamResponse } from './exchange.ts'

/**
 * Path and query of the page after this one, undefined on the last one.
 * @throws UpstreamError when it is on another host, or the same page again.
 */
export function nextPage({ url, headers }: UpstreamResponse): string | undefined {
  const link = parseNextLink(headerOf(headers, 'link') ?? '')
  if (link === undefined) return undefined
  const next = URL.parse(link, url.href)
  // Only the host counts: a registry behind a proxy that ends TLS may not know its own scheme.
  if (next === null || next.host !== url.host) {
    throw contentError(url, 'its list goes on at another host')
  }
  if (next.pathname + next.search === url.pathname + url.search) {
    throw contentError(url, 'its list goes in a circle')
  }
  return next.pathname + next.search
}

/** The target of the first link whose relation is `next`. */
export function parseNextLink(header: string): string | undefined {
  const links = /<([^<>]*)>((?:[^<>"]|"(?:[^"\\]|\\.)*")*)/g
  for (const [, target, parameters = ''] of header.matchAll(links)) {
    if (relationsOf(parameters).includes('next')) return target
  }
  return undefined
}

function relationsOf(parameters: string): string[] {
  const pairs = /;\s*([^\s=;,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))/g
  for (const [, name = '', quoted, bare = ''] of parameters.matchAll(pairs)) {
    if (name.toLowerCase() === 'rel') return (quoted ?? bare).toLowerCase().split(/\s+/)
  }
  return []
}
