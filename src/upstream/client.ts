/**
 * The read side of any other registry, as verbs (distribution specification, "Pull" and "Content
 * Discovery"). Manifests and small blobs are only returned when their bytes match their digest.
 */
import { limits } from '../config/limits.ts'
import type { Digest } from '../oci/digest.ts'
import { referrersTag } from '../oci/digest-tag.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import type { Reference } from '../oci/reference.ts'
import { isRepositoryName, type RepositoryName } from '../oci/repository-name.ts'
import { isTag, type Tag } from '../oci/tag.ts'
import { type BlobAnswer, readBlobAnswer, readBlobSize } from './blob-answer.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { discard, parseJson, readJson } from './exchange.ts'
import {
  acceptedManifests,
  checkDigest,
  readHead,
  readManifest,
  type UpstreamManifest,
  type UpstreamManifestHead,
} from './manifest-answer.ts'
import { parseReferrers, type UpstreamReferrer } from './referrers.ts'
import { type PageStart, RegistrySession, type RegistrySessionOptions } from './registry-session.ts'
import type { Sender } from './transport.ts'

export interface RegistryClientOptions extends Omit<RegistrySessionOptions, 'send'> {
  /** The client disposes of it. */
  readonly transport: Sender
}

export class RegistryClient implements AsyncDisposable {
  readonly registry: RegistryHost
  readonly #options: RegistryClientOptions
  readonly #session: RegistrySession

  constructor(options: RegistryClientOptions, session?: RegistrySession) {
    this.registry = options.registry
    this.#options = options
    this.#session = session ?? new RegistrySession({ ...options, send: options.transport.send })
  }

  /** The same client, which sends these with each request for content, by lower-case name. */
  withHeaders(headers: Readonly<Record<string, string>>): RegistryClient {
    return new RegistryClient(this.#options, this.#session.withHeaders(headers))
  }

  /** @throws UpstreamError, of problem `content` when the bytes do not match a digest. */
  async getManifest(
    repository: RepositoryName,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<UpstreamManifest> {
    const response = await this.#session.get(manifestRequest(repository, reference, signal))
    return await readManifest(response, reference, signal)
  }

  /**
   * Falls back to GET where HEAD does not tell all that it should, or denies what may be there: some
   * registries know a manifest by GET only (Nexus), and the body of GET's 404 tells who wrote it.
   */
  async headManifest(
    repository: RepositoryName,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<UpstreamManifestHead> {
    const request = manifestRequest(repository, reference, signal)
    const { response, failure } = await this.#session.send({ ...request, method: 'HEAD' })
    if (response.status !== 200 && !isUnclear(response.status)) throw await failure()
    await discard(response)
    const head = response.status === 200 ? readHead(response, reference) : undefined
    if (head !== undefined) return head
    const manifest = await this.getManifest(repository, reference, signal)
    const { bytes, ...told } = manifest
    return { ...told, size: bytes.length, manifest }
  }

  /**
   * A blob as it comes in; whether it has that digest is for the reader to find out.
   * @param offset where to begin, if the registry can; it always is asked itself, never where it
   * redirected to before, as signatures of such URLs end.
   */
  async getBlob(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
    offset = 0,
  ): Promise<BlobAnswer> {
    const request = blobRequest(repository, digest, signal)
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {}
    const { response, failure } = await this.#session.send({ ...request, headers })
    const isPart = offset > 0 && response.status === 206
    if (response.status !== 200 && !isPart) throw await failure()
    return readBlobAnswer(response, signal, offset)
  }

  /**
   * The size of a blob; by GET, without its bytes, where HEAD does not tell. Some registries deny
   * by HEAD what was never fetched from them (Harbor's proxies), so only GET's word counts.
   * @returns undefined when that does not tell either.
   */
  async headBlob(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const request = blobRequest(repository, digest, signal)
    const { response, failure } = await this.#session.send({ ...request, method: 'HEAD' })
    if (response.status !== 200 && !isUnclear(response.status)) throw await failure()
    await discard(response)
    const known = response.status === 200 ? readBlobSize(response) : undefined
    if (known !== undefined) return known
    await using blob = await this.getBlob(repository, digest, signal)
    return blob.size
  }

  /** A whole small blob, verified. @throws UpstreamError when it is larger than `bytesMax`. */
  async readBlob(
    repository: RepositoryName,
    digest: Digest,
    options: { readonly bytesMax: number; readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    await using blob = await this.getBlob(repository, digest, options.signal)
    const bytes = await blob.readAll(options.bytesMax)
    checkDigest(blob.url, bytes, digest)
    return bytes
  }

  /** Names that are no tags to the specification are left out: nothing can be asked of them. */
  async *listTags(
    repository: RepositoryName,
    signal: AbortSignal,
    from: PageStart = {},
  ): AsyncGenerator<Tag, void, undefined> {
    const path = `/v2/${repository}/tags/list`
    const request = { path, scope: pullScope(repository), signal }
    for await (const page of this.#session.listPages(request, from)) {
      yield* textsOf(page['tags']).filter((name) => isTag(name))
    }
  }

  /** Names that are no repositories to the specification are left out. */
  async *listRepositories(signal: AbortSignal): AsyncGenerator<RepositoryName, void, undefined> {
    const request = { path: '/v2/_catalog', scope: 'registry:catalog:*', signal }
    for await (const page of this.#session.listPages(request)) {
      yield* textsOf(page['repositories']).filter((name) => isRepositoryName(name))
    }
  }

  /** What refers to a manifest: the API's first page, or the tag that stands in for the API. */
  async listReferrers(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<UpstreamReferrer[]> {
    const path = `/v2/${repository}/referrers/${digest}`
    try {
      const response = await this.#session.get({ path, scope: pullScope(repository), signal })
      return parseReferrers(await readJson(response, limits.manifestBytesMax, signal))
    } catch (error) {
      if (!isMissing(error)) throw error
    }
    try {
      const { bytes } = await this.getManifest(repository, referrersTag(digest), signal)
      return parseReferrers(parseJson(bytes))
    } catch (error) {
      if (!isMissing(error)) throw error
      return []
    }
  }

  /** Cuts off what is still in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.transport[Symbol.asyncDispose]()
  }
}

function manifestRequest(repository: RepositoryName, reference: Reference, signal: AbortSignal) {
  return {
    path: `/v2/${repository}/manifests/${reference}`,
    scope: pullScope(repository),
    accept: acceptedManifests,
    signal,
  }
}

function blobRequest(repository: RepositoryName, digest: Digest, signal: AbortSignal) {
  const path = `/v2/${repository}/blobs/${digest}`
  return { path, scope: pullScope(repository), signal }
}

/** Nothing that a HEAD alone could be believed. */
function isUnclear(status: number): boolean {
  return [404, 405, 501].includes(status)
}

function pullScope(repository: RepositoryName): string {
  return `repository:${repository}:pull`
}

/** Distribution answers null for a repository whose tags are all deleted. */
function textsOf(names: unknown): string[] {
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
}

/** Not there, or no such API. */
function isMissing(error: unknown): boolean {
  return error instanceof UpstreamError && [404, 405, 501].includes(error.status ?? 0)
}
