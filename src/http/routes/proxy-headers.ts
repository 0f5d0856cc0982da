/** What an answer from the pull-through cache says about itself. */
import { OciError } from '../../oci/errors.ts'
import type { CacheStatus } from '../../registry/pull-through.ts'
import type { PullTarget } from './pull-target.ts'

type ProxiedTarget = Extract<PullTarget, { kind: 'proxied' }>

export interface Pulled {
  readonly headers: Readonly<Record<string, string>>
}

/** `OCI-Namespace` as the specification asks, `Warning` in the form that it allows. */
export function proxyHeaders(
  pull: ProxiedTarget,
  pulled: { readonly status?: CacheStatus; readonly warning?: string },
): Record<string, string> {
  return {
    ...(pulled.status !== undefined && { 'X-Cache': pulled.status }),
    ...(pulled.warning !== undefined && { Warning: `299 - "${quotable(pulled.warning)}"` }),
    ...(pull.namespace !== undefined && { 'OCI-Namespace': pull.namespace }),
  }
}

/** Errors say which registry they are about, too. */
export async function aboutNamespace<T>(pull: ProxiedTarget, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    const { code, message, detail, status } = error
    const headers = { ...error.headers, ...proxyHeaders(pull, {}) }
    throw new OciError(code, { message, detail, status, headers, cause: error.cause })
  }
}

/** Long or odd text has no place in a header (RFC 9110, 5.6.4). */
function quotable(text: string): string {
  return text
    .replaceAll(/[^\x20-\x7e]/g, '?')
    .replaceAll(/["\\]/g, "'")
    .slice(0, 500)
}
