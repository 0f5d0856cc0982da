/**
 * One line for each request, which `kubectl logs` readers can use, and the logger that a request's
 * verbs write to. Probes and scrapes are logged at debug level: they come every few seconds. So are
 * admission reviews, each of which has a line of its own.
 */
import type { OciError } from '../oci/errors.ts'
import { printable } from '../oci/upstream-error.ts'
import type { Log } from '../registry/request-context.ts'

export interface AccessRecord {
  readonly method: string
  /** Path and query, without secrets: no route takes any in its URL. */
  readonly url: string
  readonly route: string
  readonly status: number
  readonly milliseconds: number
  readonly received: number
  readonly sent: number
  readonly client: string
  readonly user: string
  readonly agent: string | undefined
  /** How an answer of the cache came about. */
  readonly cache: string | undefined
  /** What the client was told of a request that was refused. */
  readonly refusal: Pick<OciError, 'code' | 'message'> | undefined
}

const quietRoutes: readonly string[] = ['healthz', 'readiness', 'metrics', 'admission']
/** Longer parts of a URL or a user agent are cut: they are the client's to choose. */
const textLengthMax = 1_000

export function logAccess(log: Log, record: AccessRecord): void {
  const { method, status, milliseconds, agent, refusal } = record
  const path = record.url.slice(0, textLengthMax)
  const fields: Record<string, unknown> = {
    method,
    path,
    status,
    ms: Math.round(milliseconds * 10) / 10,
    route: record.route,
    received: record.received,
    sent: record.sent,
    client: record.client,
    user: record.user,
    // A terminal that shows the log would obey what controls it. JSON has no undefined.
    agent: agent === undefined ? undefined : printable(agent.slice(0, textLengthMax)),
  }
  if (record.cache !== undefined) fields['cache'] = record.cache
  if (refusal !== undefined) {
    fields['code'] = refusal.code
    // Answers to HEAD have no body: nobody else tells why.
    fields['reason'] = printable(refusal.message.slice(0, textLengthMax))
  }
  const message = `${method} ${path} ${status}`
  if (quietRoutes.includes(record.route)) log.debug(fields, message)
  else log.info(fields, message)
}

/** Puts the request's id on every line, without the cost of a child logger for each request. */
export class RequestLog implements Log {
  readonly #log: Log
  readonly #request: string

  constructor(log: Log, request: string) {
    this.#log = log
    this.#request = request
  }

  debug(fields: object, message: string): void {
    this.#log.debug({ request: this.#request, ...fields }, message)
  }

  info(fields: object, message: string): void {
    this.#log.info({ request: this.#request, ...fields }, message)
  }

  warn(fields: object, message: string): void {
    this.#log.warn({ request: this.#request, ...fields }, message)
  }

  error(fields: object, message: string): void {
    this.#log.error({ request: this.#request, ...fields }, message)
  }
}
