// The registry and its model side by side: every read that there is has the same answer from both.

import assert from 'node:assert/strict'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { parseReference, type Reference } from '../../src/oci/reference.ts'
import type { RepositoryName } from '../../src/oci/repository-name.ts'
import type { Tag } from '../../src/oci/tag.ts'
import { collect } from '../support/bytes.ts'
import type { FakeClock } from '../support/fake-clock.ts'
import type { StoredManifest } from '../../src/registry/manifest-cache.ts'
import { requestContext } from '../support/request-context.ts'
import { listPages } from './list-pages.ts'
import type { Model } from './model.ts'
import { describe, outcomeOf } from './outcome.ts'
import type { Random } from './random.ts'
import type { RegistryUnderTest } from './registry-under-test.ts'

const context = requestContext()

/** How many things that are gone, or never were, are still asked for. */
export const tracesKept = 5

interface World {
  readonly registry: RegistryUnderTest
  readonly model: Model
  readonly random: Random
  readonly clock: FakeClock
  readonly repositories: readonly RepositoryName[]
  readonly tags: readonly Tag[]
  /** All that was ever tried, known or not. */
  readonly blobs: Set<Digest>
  readonly manifests: Set<Digest>
  readonly subjects: ReadonlySet<Digest>
  readonly sessions: ReadonlyMap<string, RepositoryName>
  readonly mayHaveLeftovers: boolean
}

interface Question<T> {
  readonly registry: () => Promise<T>
  readonly model: () => T
}

export class Comparison {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** Reads everything there is, or could be, from both. */
  async run(): Promise<void> {
    const { repositories, registry, model } = this.#world
    model.checkWhole()
    for (const repository of repositories) {
      await this.#compareManifests(repository)
      await this.#compareBlobs(repository)
    }
    await this.#compareUploads()
    assert.deepEqual(await registry.metadata.countContent(), model.countContent())
    const { entries } = await registry.listings.listRepositories({ limit: 100 })
    assert.deepEqual(entries, model.listRepositories())
  }

  async #compareManifests(repository: RepositoryName): Promise<void> {
    const { registry, model, random } = this.#world
    const { listings } = registry
    await this.#same(`tags of ${repository}`, {
      registry: () => listPages((page) => listings.listTags(repository, page)),
      model: () => model.listTags(repository),
    })
    const has = model.repositories.get(repository)?.manifests.keys() ?? []
    for (const text of [...this.#world.tags, ...this.#sample(this.#world.manifests, has)]) {
      const reference = parseReference(text)
      // Seldom: what was pulled lately is not collected.
      if (random.chance(10)) await this.#comparePull(repository, reference)
      await this.#same(`manifest ${repository} ${reference}`, {
        registry: async () =>
          described(await registry.manifests.findManifest(context, repository, reference)),
        model: () => described(model.findManifest(repository, reference)),
      })
    }
    for (const subject of this.#world.subjects) {
      await this.#same(`referrers of ${repository} ${subject}`, {
        registry: async (): Promise<object[]> =>
          listPages((page) => listings.listReferrers(repository, subject, page)),
        model: () => model.listReferrers(repository, subject),
      })
    }
  }

  /** Two at once, as when a deployment starts. */
  async #comparePull(repository: RepositoryName, reference: Reference): Promise<void> {
    const { registry, model, clock } = this.#world
    const get = async () => await registry.manifests.getManifest(context, repository, reference)
    await this.#same(`pull of ${repository} ${reference}`, {
      registry: async () => described((await Promise.all([get(), get()]))[1]),
      model: () => described(model.pullManifest(repository, reference, clock.now())),
    })
  }

  async #compareBlobs(repository: RepositoryName): Promise<void> {
    const has = this.#world.model.repositories.get(repository)?.blobs ?? []
    for (const digest of this.#sample(this.#world.blobs, has)) {
      await this.#same(`blob ${repository} ${digest}`, {
        registry: () => readBlob(this.#world.registry, repository, digest),
        model: () => this.#world.model.getBlob(repository, digest),
      })
      // Seldom: whoever asks keeps it from being collected.
      if (!this.#world.random.chance(20)) continue
      await this.#same(`size of blob ${repository} ${digest}`, {
        registry: () => this.#world.registry.blobs.getBlob(context, repository, digest),
        model: () => ({
          digest,
          size: this.#world.model.promiseBlob(repository, digest, this.#world.clock.now()).length,
        }),
      })
    }
  }

  async #compareUploads(): Promise<void> {
    for (const [id, repository] of this.#world.sessions) {
      await this.#same(`upload ${id}`, {
        registry: async () => (await this.#world.registry.uploads.getUpload(repository, id)).offset,
        model: () => this.#world.model.getUpload(repository, id).bytes.length,
      })
    }
    const staged = await this.#world.registry.listStaged()
    const nobodys = staged.filter((id) => !this.#world.model.uploads.has(id))
    if (!this.#world.mayHaveLeftovers) assert.deepEqual(nobodys, [], 'staged, and nobody knows it')
  }

  /** All that the repository has, what was tried last, and some of what else there is. */
  #sample(tried: Set<Digest>, has: Iterable<Digest>): Set<Digest> {
    const all = [...tried]
    return new Set([...has, ...all.slice(-tracesKept), ...this.#world.random.some(all, tracesKept)])
  }

  async #same<T>(name: string, question: Question<T>): Promise<void> {
    const outcome = await outcomeOf(question.registry)
    const expected = await outcomeOf(() => Promise.resolve().then(question.model))
    assert.equal(describe(outcome), describe(expected), name)
    assert.deepEqual(
      'value' in outcome && outcome.value,
      'value' in expected && expected.value,
      name,
    )
  }
}

export async function readBlob(
  { blobs }: RegistryUnderTest,
  repository: RepositoryName,
  digest: Digest,
): Promise<Buffer> {
  await using reader = await blobs.openBlob(context, repository, digest)
  return await collect(reader.read())
}

function described(manifest: Pick<StoredManifest, 'digest' | 'mediaType' | 'bytes'> | undefined) {
  if (manifest === undefined) return undefined
  const { digest, mediaType, bytes } = manifest
  return { digest, mediaType, bytes: digestOf(bytes) }
}
