/** A running registry that content is pushed to. */
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { isProxiedName } from '../oci/proxied-name.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import type { PushClient } from '../upstream/push-client.ts'
import {
  type BlobMove,
  type ContentDestination,
  type MovedManifest,
  MoveError,
} from './content-source.ts'

export class RegistryDestination implements ContentDestination {
  readonly #registry: PushClient

  constructor(registry: PushClient) {
    this.#registry = registry
  }

  refusalOf(repository: RepositoryName): string | undefined {
    if (!isProxiedName(repository)) return undefined
    return 'it is cached content, which nobody can push: Trow fetches it again, or takes it with --data-dir'
  }

  async findManifest(
    repository: RepositoryName,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    return await this.#registry.findManifest(repository, reference, signal)
  }

  async hasBlob(repository: RepositoryName, digest: Digest, signal: AbortSignal): Promise<boolean> {
    return await this.#registry.hasBlob(repository, digest, signal)
  }

  async putBlob(
    repository: RepositoryName,
    blob: Descriptor,
    { from, open, signal }: BlobMove,
  ): Promise<boolean> {
    if (await this.#registry.hasBlob(repository, blob.digest, signal)) return false
    let damage: MoveError | undefined
    const watched = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* open()
      } catch (error) {
        if (error instanceof MoveError) damage = error
        throw error
      }
    }
    try {
      return await this.#registry.pushBlob(repository, blob, { from, open: watched, signal })
    } catch (error) {
      // To the connection it is a request that broke off.
      throw damage ?? error
    }
  }

  async putManifest(
    repository: RepositoryName,
    manifest: MovedManifest,
    tag: Tag | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#registry.pushManifest(repository, tag ?? manifest.digest, manifest, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#registry[Symbol.asyncDispose]()
  }
}
