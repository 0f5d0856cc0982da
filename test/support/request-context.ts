// What a verb is told about its request, for tests that call verbs without HTTP: a log that says
// nothing, and a principal that may do everything unless told otherwise.

import type { RepositoryName } from '../../src/oci/repository-name.ts'
import type { Action } from '../../src/oci/scope.ts'
import type { Log, RequestContext } from '../../src/registry/request-context.ts'

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export interface RequestContextOptions {
  readonly log?: Log
  readonly signal?: AbortSignal
  readonly may?: (action: Action, repository: RepositoryName) => boolean
}

export function requestContext(options: RequestContextOptions = {}): RequestContext {
  return {
    id: 'test',
    log: options.log ?? silentLog,
    signal: options.signal ?? new AbortController().signal,
    via: [],
    principal: { name: 'tester', may: options.may ?? (() => true) },
  }
}

/** Of an operation that nobody watches. */
export const silentMonitor = {
  signal: new AbortController().signal,
  progress: () => undefined,
  tell: async () => undefined,
}
