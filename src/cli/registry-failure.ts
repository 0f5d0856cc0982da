/**
 * A registry's failure as one line for the person at the terminal: what is wrong, and what to do
 * about it. What is not a registry's failure stays what it is.
 */
import { StartError } from '../lib/start-error.ts'
import { CredentialsError } from '../upstream/credential-helper.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { RegistryFlags } from './registry-options.ts'

export function explainFailure(error: unknown, flags: RegistryFlags): unknown {
  if (error instanceof CredentialsError) {
    const message = `${error.message}; give the login with -u and -p in place of it`
    return new StartError(message, { cause: error })
  }
  if (!(error instanceof UpstreamError)) return error
  return new StartError(`${error.message}; ${advice(error, flags)}`.replace(/; $/, ''), {
    cause: error,
  })
}

function advice(error: UpstreamError, flags: RegistryFlags): string {
  switch (error.problem) {
    case 'status':
      return adviceForStatus(error, flags)
    case 'certificate':
      return 'name the authority that signed it with --ca FILE, or accept any with --insecure'
    case 'protocol':
      return flags.insecure
        ? ''
        : 'if it serves plain HTTP, say --insecure or write http:// in front'
    case 'refused':
      return 'is a registry running there?'
    case 'unresolved':
      return 'check the name, and the network'
    case 'timeout':
      return 'check the address, and what lies between'
    case 'connection':
    case 'redirect':
    case 'content':
    case 'address':
    case 'suspended':
    case 'offline':
    case 'login':
    case 'loop':
      return ''
  }
}

function adviceForStatus({ status, retryAfterMs }: UpstreamError, flags: RegistryFlags): string {
  const isKnown = flags.user !== undefined
  if (status === 401) {
    return isKnown
      ? 'the user or the password was not accepted, or may not see this'
      : 'log in with -u USER -p PASSWORD'
  }
  if (status === 403) return `${isKnown ? 'this user' : 'without a login one'} may not see this`
  if (status === 429) {
    const wait = retryAfterMs === undefined ? 'later' : `in ${Math.ceil(retryAfterMs / 1000)} s`
    return `it limits how much is asked: try again ${wait}, or log in with -u USER -p PASSWORD`
  }
  return ''
}

export function unknownRepository(
  registry: string,
  repository: string,
  cause: UpstreamError,
): StartError {
  const hint = `trow ls ${registry} lists those it has`
  return new StartError(`${registry} has no repository ${repository}; ${hint}`, { cause })
}
