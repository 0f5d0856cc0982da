/** What an answer from the pull-through cache says about itself. */
import { OciError } from '../../oci/errors.ts'
import type { Pulled } from '../../registry/cache-status.ts'
import type { PullTarget } from './pull-target.ts'

type ProxiedTarget = Extract<PullTarget, { kind: 'proxied' }>

/** `OCI-Namespace` as the specification asks, `Warning` in the form that it allows. */
export function proxyHeaders(
  pull: ProxiedTarget,
  { status, warning }: Pulled,
): Record<string, string> {
  return {
    'X-Cache': status,
    ...(warning !== undefined && { Warning: `299 - "${quotable(warning)}"` }),
    ...namespaceHeader(pull),
  }
}

/** Errors say which registry they are about, too. */
export async function aboutUpstream<T>(pull: ProxiedTarget, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    const { code, detail, status } = error
    const headers = { ...error.headers, ...namespaceHeader(pull) }
    const message = error.message + ownRegistryHint(pull)
    throw new OciError(code, { message, detail, status, headers, cause: error.cause })
  }
}

function namespaceHeader({ namespace }: ProxiedTarget): Record<string, string> {
  return namespace === undefined ? {} : { 'OCI-Namespace': namespace }
}

/** Nobody who means a repository of this registry is to wonder why another one is blamed. */
function ownRegistryHint({ target, unqualified }: ProxiedTarget): string {
  if (unqualified === undefined) return ''
  return (
    `; it was asked because this registry itself has nothing in ${unqualified} ` +
    `and registry_proxies.default_upstream is ${target.host}`
  )
}

/** Long or odd text has no place in a header (RFC 9110, 5.6.4). */
function quotable(text: string): string {
  return text
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .replaceAll(/["\\]/g, "'")
    .slice(0, 500)
}
