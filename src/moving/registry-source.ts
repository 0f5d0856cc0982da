/** A registry that runs, of whatever make: its repositories and tags, as far as they are wanted. */
import { limits } from '../config/limits.ts'
import { matchesName, type NamePattern } from '../lib/name-pattern.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { referrersTag, subjectOfTag } from '../oci/digest-tag.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Reference } from '../oci/reference.ts'
import type { Tag } from '../oci/tag.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { RegistryClient } from '../upstream/client.ts'
import type { ContentSource, SourceImage, SourceProblem } from './content-source.ts'

export interface WantedImages {
  /** Repositories by name; the registry need not list any then. */
  readonly named: readonly RepositoryName[]
  /** Of those that the registry lists. */
  readonly patterns: readonly NamePattern[]
  /** Any will do when there are none. */
  readonly tags: readonly NamePattern[]
}

/** One image, and what it is asked for by. */
export interface NamedImage {
  readonly repository: RepositoryName
  readonly tag?: Tag
  readonly reference: Reference
}

export class RegistrySource implements ContentSource {
  readonly description: string
  readonly #client: RegistryClient
  readonly #wanted: WantedImages | readonly NamedImage[]
  readonly #withReferrers: boolean

  constructor(
    client: RegistryClient,
    wanted: WantedImages | readonly NamedImage[],
    options: { readonly referrers: boolean },
  ) {
    this.description = client.registry
    this.#client = client
    this.#wanted = wanted
    this.#withReferrers = options.referrers
  }

  async *list(signal: AbortSignal): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    if ('named' in this.#wanted) yield* this.#listWanted(this.#wanted, signal)
    else yield* await this.#findImages(this.#wanted, signal)
  }

  async *#listWanted(
    { named, patterns, tags }: WantedImages,
    signal: AbortSignal,
  ): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    for (const repository of named) yield* this.#listTags(repository, tags, signal)
    if (patterns.length === 0) return
    for await (const repository of this.#client.listRepositories(signal)) {
      const isWanted = patterns.some((pattern) => matchesName(pattern, repository))
      if (isWanted && !named.includes(repository)) yield* this.#listTags(repository, tags, signal)
    }
  }

  async *#listTags(
    repository: RepositoryName,
    tags: readonly NamePattern[],
    signal: AbortSignal,
  ): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    // Whether what is attached by its tag is wanted is known when the images are.
    const attached: { readonly tag: Tag; readonly subject: Digest }[] = []
    const found = new Set<Digest>()
    const wanted = async function* (listed: AsyncIterable<Tag>): AsyncGenerator<Tag> {
      for await (const tag of listed) {
        if (tags.length === 0 || tags.some((pattern) => matchesName(pattern, tag))) yield tag
        else attached.push(...attachedBy(tag))
      }
    }
    try {
      for await (const image of this.#findTags(
        repository,
        wanted(this.#client.listTags(repository, signal)),
        signal,
      )) {
        if ('digest' in image) found.add(image.digest)
        yield image
      }
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      yield { name: repository, problem: error.message }
    }
    if (!this.#withReferrers) return
    const wantedToo = attached.filter(({ subject }) => found.has(subject))
    yield* this.#findTags(
      repository,
      wantedToo.map(({ tag }) => tag),
      signal,
    )
  }

  async *#findTags(
    repository: RepositoryName,
    tags: AsyncIterable<Tag> | Iterable<Tag>,
    signal: AbortSignal,
  ): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    let batch: NamedImage[] = []
    try {
      for await (const tag of tags) {
        batch.push({ repository, tag, reference: tag })
        if (batch.length < limits.listConcurrency) continue
        const full = batch
        batch = []
        yield* await this.#findImages(full, signal)
      }
    } catch (error) {
      if (error instanceof UpstreamError) yield* await this.#findImages(batch, signal)
      throw error
    }
    yield* await this.#findImages(batch, signal)
  }

  async #findImages(
    images: readonly NamedImage[],
    signal: AbortSignal,
  ): Promise<(SourceImage | SourceProblem)[]> {
    const finding = images.map(async ({ repository, tag, reference }) => {
      try {
        const { digest } = await this.#client.headManifest(repository, reference, signal)
        return { repository, digest, ...(tag !== undefined && { tag }) }
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error
        const separator = tag === undefined ? '@' : ':'
        return { name: `${repository}${separator}${reference}`, problem: error.message }
      }
    })
    return await Promise.all(finding)
  }

  async readManifest(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: Uint8Array; readonly mediaType: string }> {
    return await this.#client.getManifest(repository, digest, signal)
  }

  async checkBlob(): Promise<void> {
    // To ask costs as much as to fetch a small one, and of some registries counts as a pull.
  }

  /** A transfer that breaks off goes on from its last byte. */
  async *openBlob(
    repository: RepositoryName,
    { digest }: Descriptor,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let reached = 0
    for (let fruitless = 0; ; fruitless++) {
      const before = reached
      try {
        await using blob = await this.#client.getBlob(repository, digest, signal, reached)
        let skipped = reached - blob.offset
        for await (const chunk of blob.chunks) {
          const rest = chunk.subarray(Math.min(skipped, chunk.length))
          skipped -= chunk.length - rest.length
          reached += rest.length
          if (rest.length > 0) yield rest
        }
        return
      } catch (error) {
        const isBroken = error instanceof UpstreamError && error.problem === 'connection'
        if (reached > before) fruitless = 0
        if (!isBroken || fruitless >= limits.movedFruitlessTriesMax) throw error
      }
    }
  }

  async listReferrers(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<readonly Digest[]> {
    if (!this.#withReferrers) return []
    const referrers = await this.#client.listReferrers(repository, digest, signal)
    return referrers.map((referrer) => referrer.digest)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]()
  }
}

/** Not by the tag that stands for the referrers API: what that lists comes with the image, and Trow has the API. */
function attachedBy(tag: Tag): { readonly tag: Tag; readonly subject: Digest }[] {
  const subject = subjectOfTag(tag)
  return subject === undefined || tag === referrersTag(subject) ? [] : [{ tag, subject }]
}
