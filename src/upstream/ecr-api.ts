/**
 * ECR's GetAuthorizationToken by Amazon's SDK: with what the AWS credentials chain finds, over the
 * transport that all other requests use. Nothing that the SDK says is shown but the first line of an
 * error. Only `import()` may load this file, as it brings the SDK along.
 */
import { ECRClient, GetAuthorizationTokenCommand } from '@aws-sdk/client-ecr'
import { Readable } from 'node:stream'
import { limits } from '../config/limits.ts'
import type { EcrHost } from '../oci/ecr-host.ts'
import { printable, UpstreamError } from '../oci/upstream-error.ts'
import { headerOf, readBody, type Send, type UpstreamResponse } from './exchange.ts'
import type { Proxies } from './proxies.ts'
import { Transport } from './transport.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** What the SDK asks for, as far as it is used here. */
interface SdkRequest {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export interface EcrToken {
  /** Base64 of `user:password`. */
  readonly token: string
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

export interface EcrApiOptions {
  readonly environment: Environment
  readonly proxies?: Proxies | undefined
  readonly signal: AbortSignal
}

/** @throws Error with a message that may be shown. */
export async function fetchEcrToken(
  host: EcrHost,
  { environment, proxies, signal }: EcrApiOptions,
): Promise<EcrToken> {
  await using transport = new Transport({ proxies })
  const client = new ECRClient({
    region: host.region,
    ...endpointOf(host, environment),
    requestHandler: requestHandler(transport.send, signal),
  })
  try {
    const answer = await client.send(new GetAuthorizationTokenCommand({}))
    return readToken(answer.authorizationData?.[0])
  } catch (error) {
    signal.throwIfAborted()
    throw new Error(explain(error), { cause: error })
  } finally {
    client.destroy()
  }
}

/** An endpoint that somebody names is taken as it is; the SDK wants no other wishes beside it. */
function endpointOf({ fips, dualStack }: EcrHost, environment: Environment) {
  if (environment['AWS_ENDPOINT_URL_ECR'] || environment['AWS_ENDPOINT_URL']) return {}
  return {
    ...(fips && { useFipsEndpoint: true }),
    ...(dualStack && { useDualstackEndpoint: true }),
  }
}

function readToken(
  data: { authorizationToken?: string | undefined; expiresAt?: Date | undefined } | undefined,
): EcrToken {
  return { token: data?.authorizationToken ?? '', expiresAt: data?.expiresAt?.getTime() ?? 0 }
}

/** In place of the SDK's own, which knows no proxies. */
function requestHandler(send: Send, signal: AbortSignal) {
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: async (request: SdkRequest) => ({ response: await exchange(send, request, signal) }),
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
    destroy: () => undefined,
  }
}

async function exchange(send: Send, request: SdkRequest, signal: AbortSignal) {
  const { method, headers, body } = request
  const response = await send({
    method: method === 'GET' ? 'GET' : 'POST',
    url: urlOf(request),
    headers: { ...headers },
    ...(body !== undefined && { body }),
    signal,
  })
  const bytes = await readBody(response, limits.awsAnswerBytesMax, signal)
  return {
    statusCode: response.status,
    headers: flatten(response),
    body: Readable.from([bytes], { objectMode: false }),
  }
}

function urlOf({ protocol, hostname, port, path, query = {} }: SdkRequest): URL {
  const url = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`)
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value ?? ''].flat()) url.searchParams.append(name, one)
  }
  return url
}

function flatten({ headers }: UpstreamResponse): Record<string, string> {
  return Object.fromEntries(
    Object.keys(headers).map((name) => [name, headerOf(headers, name) ?? '']),
  )
}

/** A failed signature brings the request with it from the second line on, tokens included. */
function explain(error: unknown): string {
  if (error instanceof UpstreamError) return error.message
  if (!(error instanceof Error)) return 'the AWS SDK failed'
  const [line = ''] = error.message.split('\n')
  // The command line of a `credential_process` may hold a secret.
  const shown = line.startsWith('Command failed') ? 'credential_process failed' : line
  return printable(`${error.name}: ${shown}`).slice(0, limits.awsMessageLengthMax)
}
