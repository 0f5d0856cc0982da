/**
 * One upstream as one entry reaches it: a registry client, asked only while the upstream is well and
 * not faster than it may be. A client that is retired goes on with what it has begun.
 */
import { limits } from '../config/limits.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { withSelf } from '../registry/proxy-chain.ts'
import { RegistryClient } from './client.ts'
import { type Credentials, type CredentialSource, PasswordCredentials } from './credentials.ts'
import type { EcrCredentials } from './ecr-credentials.ts'
import type { Send } from './exchange.ts'
import { siteRealm } from './realm.ts'
import { RequestTurns, TransferTurns } from './request-turns.ts'
import { defaultRetryPolicy, type RetryPolicy } from './retry.ts'
import { RoutedTransport, type RoutedTransportOptions } from './routed-transport.ts'
import type { Timer } from './timer.ts'
import type { UpstreamHealth } from './upstream-health.ts'

/** Somebody waits: a second try soon, and for what says "later" the caller has other answers. */
const retryPolicy: RetryPolicy = {
  ...defaultRetryPolicy,
  attempts: limits.upstreamPullAttemptsMax,
  backoffMsMax: limits.upstreamPullBackoffMsMax,
  retryAfterMsMax: limits.upstreamPullRetryAfterSecondsMax * 1000,
  finalStatuses: [429],
}

export interface UpstreamClientOptions extends RoutedTransportOptions {
  readonly health: UpstreamHealth
  readonly timer: Timer
  readonly ecr?: EcrCredentials | undefined
  readonly random?: (() => number) | undefined
  /** The registry that the host stands in for. */
  readonly namespace?: RegistryHost
  /** What this process calls itself in `Via`. */
  readonly proxyName: string
  /** Called for each request that is sent to the upstream itself. */
  readonly onRequest: () => void
}

export class UpstreamClient {
  readonly health: UpstreamHealth
  readonly listed: boolean
  readonly #client: RegistryClient
  readonly #proxyName: string
  readonly #transfers: TransferTurns
  /** Questions and transfers under way. */
  #uses = 0
  #onUnused: (() => void) | undefined

  constructor(options: UpstreamClientOptions) {
    const { host, namespace, entry, timer, random, health, proxyName } = options
    this.health = health
    this.#proxyName = proxyName
    this.listed = options.listed
    const { maxConnections = limits.upstreamPullConnectionsDefault } = entry
    this.#transfers = new TransferTurns(host, maxConnections)
    const transport = new RoutedTransport(options)
    this.#client = new RegistryClient({
      registry: host,
      ...(namespace && { namespace }),
      transport: {
        send: wellMannered(transport, options),
        [Symbol.asyncDispose]: async () => await transport[Symbol.asyncDispose](),
      },
      schemes: [entry.insecure ? 'http' : 'https'],
      credentials: credentialsOf(options),
      realmPolicy: siteRealm(entry.authHosts),
      retryPolicy,
      timer,
      ...(random && { random }),
    })
  }

  /**
   * For who holds it.
   * @param via of the request on whose behalf it is asked.
   * @throws UpstreamError `suspended` without asking, or what `work` throws.
   */
  async ask<T>(via: readonly string[], work: (client: RegistryClient) => Promise<T>): Promise<T> {
    const headers = { via: withSelf(via, this.#proxyName).join(', ') }
    return await this.health.run(async () => await work(this.#client.withHeaders(headers)))
  }

  /**
   * Waits until one more blob may be fetched, and holds the client until that is over.
   * @throws UpstreamError `suspended` when that takes too long.
   */
  async beginTransfer(signal: AbortSignal): Promise<Disposable> {
    using begun = new DisposableStack()
    begun.use(await this.#transfers.take(signal))
    begun.defer(this.hold())
    return begun.move()
  }

  /** Keeps a retired client's connections until what is returned is called. */
  hold(): () => void {
    this.#uses += 1
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#uses -= 1
      if (this.#uses === 0) this.#onUnused?.()
    }
  }

  /** Resolves when nobody uses it any more; nobody new may. */
  async retire(): Promise<void> {
    const unused = Promise.withResolvers<void>()
    this.#onUnused = unused.resolve
    if (this.#uses === 0) unused.resolve()
    await unused.promise
    await this.close()
  }

  /** Cuts off what is still in flight. */
  async close(): Promise<void> {
    await this.#client[Symbol.asyncDispose]()
  }
}

function wellMannered(transport: RoutedTransport, options: UpstreamClientOptions): Send {
  const { host, entry, health, timer, onRequest } = options
  const { requestsPerSecond } = entry
  const turns = requestsPerSecond ? new RequestTurns(host, requestsPerSecond, timer) : undefined
  return async (request) => {
    if (!transport.isOwn(request.url)) {
      const response = await transport.send(request)
      health.observeLogin(request, response)
      return response
    }
    await turns?.take(request.signal)
    const response = await counted(transport.send(request), onRequest)
    health.observeLogin(request, response)
    health.observeRateLimit(response)
    return response
  }
}

/** A host that must not be asked was not. */
async function counted<T>(sent: Promise<T>, onRequest: () => void): Promise<T> {
  try {
    const response = await sent
    onRequest()
    return response
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.problem !== 'address') onRequest()
    throw error
  }
}

/** What is fetched for ECR is never sent in clear, whatever an entry says. */
function credentialsOf({
  host,
  entry: { user, insecure },
  ecr,
}: UpstreamClientOptions): Credentials | CredentialSource | undefined {
  if (user !== undefined) return new PasswordCredentials(user.name, user.password.reveal())
  return insecure ? undefined : ecr?.sourceFor(host)
}
