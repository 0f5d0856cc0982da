/**
 * The write side of another registry, as verbs (distribution specification, "Push"). A blob goes up in
 * one piece, behind a session that the registry names; what it says is wrong is said as it says it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { limits } from '../config/limits.ts'
import { type Descriptor, isRecord } from '../oci/descriptor.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { printable, UpstreamError } from '../oci/upstream-error.ts'
import {
  contentError,
  discard,
  headerOf,
  parseJson,
  readUpTo,
  type UpstreamResponse,
} from './exchange.ts'
import type { RegistryClientOptions } from './client.ts'
import { acceptedManifests } from './manifest-answer.ts'
import { RegistrySession, type SessionRequest } from './registry-session.ts'

export interface BlobPush {
  /** A repository of the registry that has it already. */
  readonly from: RepositoryName | undefined
  readonly open: () => AsyncIterable<Uint8Array>
  readonly signal: AbortSignal
}

type Request = Omit<SessionRequest, 'scope'>

const cancelRetryMs = 50

export class PushClient implements AsyncDisposable {
  readonly #options: RegistryClientOptions
  readonly #session: RegistrySession

  constructor(options: RegistryClientOptions) {
    this.#options = options
    this.#session = new RegistrySession({ ...options, send: options.transport.send })
  }

  /** @returns undefined when it has no such manifest. */
  async findManifest(
    repository: RepositoryName,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    const path = `/v2/${repository}/manifests/${reference}`
    const response = await this.#send(repository, {
      method: 'HEAD',
      path,
      signal,
      accept: acceptedManifests,
    })
    await discard(response)
    if (response.status === 404) return undefined
    if (response.status !== 200) throw refused(response, `HTTP ${response.status}`)
    const digest = headerOf(response.headers, 'docker-content-digest') ?? ''
    return isDigest(digest) ? digest : undefined
  }

  async hasBlob(repository: RepositoryName, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const path = `/v2/${repository}/blobs/${digest}`
    const response = await this.#send(repository, { method: 'HEAD', path, signal })
    await discard(response)
    if (response.status !== 200 && response.status !== 404) {
      throw refused(response, `HTTP ${response.status}`)
    }
    return response.status === 200
  }

  /** @returns false when it could be mounted. @throws UpstreamError when it is not taken. */
  async pushBlob(
    repository: RepositoryName,
    { digest, size }: Descriptor,
    { from, open, signal }: BlobPush,
  ): Promise<boolean> {
    const query = from === undefined ? '' : `?mount=${digest}&from=${encodeURIComponent(from)}`
    const path = `/v2/${repository}/blobs/uploads/${query}`
    const request = { method: 'POST', path, signal } as const
    const started = await this.#send(repository, request, from)
    if (started.status === 201) {
      await discard(started)
      return false
    }
    if (started.status !== 202) throw await refusal(started)
    await discard(started)
    const location = headerOf(started.headers, 'location')
    const url = URL.parse(location ?? '', started.url.href)
    if (location === undefined || url === null || url.origin !== started.url.origin) {
      throw contentError(started.url, 'it does not say where the blob is to be sent')
    }
    const session = url.href
    url.searchParams.set('digest', digest)
    try {
      await this.#put(repository, {
        path: url.href,
        headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
        body: open,
        signal,
      })
    } catch (error) {
      await this.#cancel(repository, session)
      throw error
    }
    return true
  }

  /**
   * So that the registry need not keep what came until the session expires; if it does, no harm is done. It may
   * refuse (416) as long as it has not seen that the push is over.
   */
  async #cancel(repository: RepositoryName, session: string): Promise<void> {
    const signal = AbortSignal.timeout(limits.pushCancelSecondsMax * 1000)
    try {
      for (;;) {
        const request = { method: 'DELETE', path: session, signal } as const
        const response = await this.#send(repository, request)
        await discard(response)
        if (response.status !== 416) return
        await delay(cancelRetryMs, undefined, { signal })
      }
    } catch {
      // Why the push failed is what is told.
    }
  }

  async pushManifest(
    repository: RepositoryName,
    reference: Reference,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#put(repository, {
      path: `/v2/${repository}/manifests/${reference}`,
      headers: { 'content-type': manifest.mediaType },
      body: manifest.bytes,
      signal,
    })
  }

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.transport[Symbol.asyncDispose]()
  }

  async #put(repository: RepositoryName, request: Request): Promise<void> {
    const response = await this.#send(repository, { ...request, method: 'PUT' })
    if (response.status !== 201) throw await refusal(response)
    await discard(response)
  }

  /** @param from what a mount reads, too. */
  async #send(
    repository: RepositoryName,
    request: Request,
    from?: RepositoryName,
  ): Promise<UpstreamResponse> {
    const mounted = from === undefined || from === repository ? '' : ` repository:${from}:pull`
    const scope = `repository:${repository}:pull,push${mounted}`
    const { response, failure } = await this.#session.send({ ...request, scope })
    if (response.status === 401) throw await failure()
    return response
  }
}

/** The first error of the body, which is written for people. */
async function refusal(response: UpstreamResponse): Promise<UpstreamError> {
  const bytesMax = limits.upstreamErrorBytesMax
  const document = parseJson(await readUpTo(response.body, bytesMax).catch(() => Buffer.of()))
  const errors: unknown = isRecord(document) ? document['errors'] : undefined
  const error: unknown = Array.isArray(errors) ? errors[0] : undefined
  const { code, message } = isRecord(error) ? error : {}
  const isTold = typeof code === 'string' && typeof message === 'string'
  return refused(response, isTold ? `${message} (${code})` : `HTTP ${response.status}`)
}

function refused({ url, status }: UpstreamResponse, reason: string): UpstreamError {
  return new UpstreamError(`${url.host} did not take it: ${printable(reason)}`, {
    host: url.host,
    problem: 'status',
    status,
  })
}
