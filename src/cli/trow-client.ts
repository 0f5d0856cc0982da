/**
 * A running Trow as the commands ask it: what it tells of other registries, their content through its
 * cache, named by `ns` as containerd does it, and work on all that it holds. Trying again is left to Trow,
 * which knows when an upstream wants to be left alone.
 */
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { isRecord } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { ImageReference, RegistryHost } from '../oci/image-reference.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { printable, UpstreamError } from '../oci/upstream-error.ts'
import { type BlobAnswer, readBlobAnswer } from '../upstream/blob-answer.ts'
import type { RegistryClientOptions } from '../upstream/client.ts'
import {
  discard,
  headerOf,
  parseJson,
  readJson,
  readUpTo,
  type UpstreamResponse,
} from '../upstream/exchange.ts'
import {
  acceptedManifests,
  readManifest,
  type UpstreamManifest,
} from '../upstream/manifest-answer.ts'
import { parseReferrers, type UpstreamReferrer } from '../upstream/referrers.ts'
import { RegistrySession, type SessionRequest } from '../upstream/registry-session.ts'
import { defaultRetryPolicy } from '../upstream/retry.ts'
import type { Sender } from '../upstream/transport.ts'
import type { Deleted } from './deleted-content.ts'
import { type OperationEvent, readEvents } from './operation-events.ts'

/** A repository of another registry. */
export type Origin = Pick<ImageReference, 'registry' | 'repository'>

/** What the header `X-Cache` says. */
export type CacheStatus = 'HIT' | 'MISS' | 'STALE' | 'COALESCED'

export interface CachedManifest extends UpstreamManifest {
  readonly cache: CacheStatus
  /** Why a stale one is served. */
  readonly warning?: string
}

export interface CachedBlob extends BlobAnswer {
  readonly cache: CacheStatus
}

/** Content that Trow did not answer with; the message is Trow's own. */
export class PullError extends Error {
  override readonly name: string = 'PullError'
  readonly status: number

  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

/** The image would be one of this Trow itself, so it has no upstream. */
export class LocalImage extends PullError {
  override readonly name = 'LocalImage'

  constructor() {
    super('an image of this Trow itself', 404)
  }
}

interface DeletionRequest {
  readonly repository: RepositoryName
  /** Absent for all of the repository. */
  readonly reference: Reference | undefined
  readonly dryRun: boolean
}

export class TrowClient implements AsyncDisposable {
  readonly registry: RegistryHost
  readonly #transport: Sender
  readonly #session: RegistrySession

  constructor(options: RegistryClientOptions) {
    this.registry = options.registry
    this.#transport = options.transport
    this.#session = new RegistrySession({
      ...options,
      send: options.transport.send,
      retryPolicy: { ...defaultRetryPolicy, attempts: 1 },
    })
  }

  /** The document of `/api/upstreams`. @throws StartError when this is no Trow, or UpstreamError. */
  async getUpstreams(signal: AbortSignal): Promise<Record<string, unknown>> {
    const request = { path: '/api/upstreams', scope: 'registry:catalog:*', signal }
    const { response, failure } = await this.#session.send(request)
    if (response.status === 404) throw this.#noTrow(await failure())
    if (response.status !== 200) throw await failure()
    const document = await readJson(response, limits.upstreamPageBytesMax, signal).catch(
      (error: unknown) => {
        const isOther = error instanceof UpstreamError && error.problem === 'content'
        throw isOther ? this.#noTrow(error) : error
      },
    )
    if (!Array.isArray(document['upstreams'])) throw this.#noTrow()
    return document
  }

  /**
   * Begins work on all that it holds, and follows it to its end.
   * @param path below `/api/`, with its query.
   * @throws StartError when this is no Trow or refuses, or UpstreamError.
   */
  async *follow(path: string, signal: AbortSignal): AsyncGenerator<OperationEvent> {
    const address = `/api/${path}`
    const request = { method: 'POST', path: address, scope: 'registry:admin:*', signal } as const
    const { response, failure } = await this.#session.send(request)
    if (response.status === 409) throw new StartError(await readReason(response))
    if (response.status === 404) throw this.#noTrow(await failure(), address)
    if (response.status !== 200) throw await failure()
    yield* readEvents(response, signal)
  }

  /**
   * Deletes an image, or a whole repository.
   * @throws StartError with Trow's reason when it refuses, or UpstreamError.
   */
  async deleteContent(
    { repository, reference, dryRun }: DeletionRequest,
    signal: AbortSignal,
  ): Promise<Deleted> {
    const query = new URLSearchParams({ 'dry-run': String(dryRun) })
    if (reference !== undefined) {
      query.set(isDigestReference(reference) ? 'digest' : 'tag', reference)
    }
    const path = `/api/repositories/${repository}?${query.toString()}`
    const scope = `repository:${repository}:delete`
    const { response, failure } = await this.#session.send({
      method: 'DELETE',
      path,
      scope,
      signal,
    })
    if (response.status === 401 || response.status === 403) throw await failure()
    if (response.status !== 200) throw new StartError(await readReason(response))
    const document = await readJson(response, limits.upstreamPageBytesMax, signal)
    return document as unknown as Deleted
  }

  /** @throws PullError, LocalImage or UpstreamError */
  async getManifest(
    origin: Origin,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<CachedManifest> {
    const path = pathOf(origin, 'manifests', reference)
    const response = await this.#pull(origin, { path, accept: acceptedManifests, signal })
    const warning = /^\d{3} \S+ "(.*)"$/.exec(headerOf(response.headers, 'warning') ?? '')?.[1]
    return {
      ...(await readManifest(response, reference, signal)),
      cache: cacheStatusOf(response),
      ...(warning !== undefined && { warning }),
    }
  }

  /**
   * The caller disposes of it.
   * @param byte the only one to be sent.
   * @throws as `getManifest`.
   */
  async getBlob(
    origin: Origin,
    digest: Digest,
    signal: AbortSignal,
    byte?: number,
  ): Promise<CachedBlob> {
    const headers: Record<string, string> =
      byte === undefined ? {} : { range: `bytes=${byte}-${byte}` }
    const path = pathOf(origin, 'blobs', digest)
    const response = await this.#pull(origin, { path, headers, signal })
    return { ...readBlobAnswer(response, signal, byte), cache: cacheStatusOf(response) }
  }

  /** @throws as `getManifest`. */
  async listReferrers(
    origin: Origin,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<UpstreamReferrer[]> {
    const path = pathOf(origin, 'referrers', digest)
    const response = await this.#pull(origin, { path, signal })
    return parseReferrers(await readJson(response, limits.manifestBytesMax, signal))
  }

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#transport[Symbol.asyncDispose]()
  }

  async #pull(
    { repository }: Origin,
    request: Omit<SessionRequest, 'scope'>,
  ): Promise<UpstreamResponse> {
    const scope = `repository:${repository}:pull`
    const { response } = await this.#session.send({ ...request, scope })
    const isFound = response.status === 200 || response.status === 206
    if (!isProxied(response, repository) && (isFound || response.status === 404)) {
      await discard(response)
      throw new LocalImage()
    }
    if (!isFound) throw new PullError(await readReason(response), response.status)
    return response
  }

  #noTrow(cause?: unknown, path = '/api/upstreams'): StartError {
    const message = `${this.registry} is no Trow, or one older than 0.11: it has no ${path}`
    return new StartError(message, { cause })
  }
}

/** Trow says which registry an answer is about, and what its cache made of it. */
function isProxied({ headers }: UpstreamResponse, repository: string): boolean {
  if (repository.startsWith('f/')) return true
  return headers['oci-namespace'] !== undefined || headers['x-cache'] !== undefined
}

function pathOf({ registry, repository }: Origin, kind: string, reference: string): string {
  const query = new URLSearchParams({ ns: registry })
  return `/v2/${repository}/${kind}/${reference}?${query.toString()}`
}

function cacheStatusOf({ headers }: UpstreamResponse): CacheStatus {
  const status = headerOf(headers, 'x-cache') ?? ''
  return isCacheStatus(status) ? status : 'MISS'
}

function isCacheStatus(text: string): text is CacheStatus {
  return ['HIT', 'MISS', 'STALE', 'COALESCED'].includes(text)
}

/** The first error of the body, which is written for people. */
async function readReason({ status, body }: UpstreamResponse): Promise<string> {
  const document = parseJson(
    await readUpTo(body, limits.upstreamErrorBytesMax).catch(() => Buffer.of()),
  )
  const errors: unknown = isRecord(document) ? document['errors'] : undefined
  const error: unknown = Array.isArray(errors) ? errors[0] : undefined
  const { code, message } = isRecord(error) ? error : {}
  if (typeof code !== 'string' || typeof message !== 'string') return `Trow answered ${status}`
  return printable(`${message} (${code})`)
}
