/**
 * What verbs are told of a request. Hardly any of them waits for the client to go away, and the signal
 * of that is a large part of what a small request leaves to the garbage collector: it is made when it
 * is first asked for.
 */
import type { ServerResponse } from 'node:http'
import type { AuthenticatedPrincipal } from '../auth/principal.ts'
import type { Log, RequestContext } from '../registry/request-context.ts'

/** Before it is known who asks. */
interface Asked {
  readonly id: string
  readonly log: Log
  readonly via: readonly string[]
}

export class ServedContext implements RequestContext {
  readonly id: string
  readonly log: Log
  readonly via: readonly string[]
  readonly principal: AuthenticatedPrincipal
  readonly #response: ServerResponse
  #signal: AbortSignal | undefined

  constructor(
    { id, log, via }: Asked,
    response: ServerResponse,
    principal: AuthenticatedPrincipal,
  ) {
    this.id = id
    this.log = log
    this.via = via
    this.principal = principal
    this.#response = response
  }

  get signal(): AbortSignal {
    this.#signal ??= signalOfEnd(this.#response)
    return this.#signal
  }
}

function signalOfEnd(response: ServerResponse): AbortSignal {
  if (response.destroyed) return AbortSignal.abort()
  const controller = new AbortController()
  // After a whole answer there is nothing to cancel, and each abort makes an error, with its stack.
  response.once('close', () => {
    if (!response.writableFinished) controller.abort()
  })
  return controller.signal
}
