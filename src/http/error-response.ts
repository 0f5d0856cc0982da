/**
 * The only place that writes an error body: the specification's JSON for what a client may know, and
 * for everything else a 500 with the request's id, the cause in the log.
 */
import { OciError } from '../oci/errors.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { Log, RequestContext } from '../registry/request-context.ts'
import type { Reply } from './reply.ts'

/** @param locationBase put before a Location that goes with the error, as in other answers. */
export function errorReply(
  context: Pick<RequestContext, 'id' | 'log'>,
  error: unknown,
  locationBase: string,
): Reply {
  if (error instanceof OciError) {
    logOutage(context.log, error)
    return {
      status: error.status,
      headers: { 'Content-Type': 'application/json', ...headersOf(error, locationBase) },
      body: errorBody(error.code, error.message, error.detail),
    }
  }
  context.log.error({ err: error }, 'request failed')
  return {
    status: 500,
    headers: { 'Content-Type': 'application/json' },
    body: errorBody(
      'UNKNOWN',
      `an error inside the registry; its log tells more under request ${context.id}`,
    ),
  }
}

function headersOf({ headers }: OciError, locationBase: string): Record<string, string> {
  const location = headers['Location']
  return location === undefined ? headers : { ...headers, Location: locationBase + location }
}

export function errorBody(code: string, message: string, detail?: unknown): string {
  return JSON.stringify({ errors: [{ code, message, ...(detail !== undefined && { detail }) }] })
}

/** What fails at another registry is nothing that this one's stack could explain. */
function logOutage(log: Log, error: OciError): void {
  if (error.status < 500) return
  if (error.cause instanceof UpstreamError) log.warn({ reason: error.cause.message }, error.message)
  else log.error({ err: error }, error.message)
}
