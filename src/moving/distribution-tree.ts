/**
 * What distribution keeps in its root directory (`docker/registry/v2`), and Harbor with it: links by
 * repository, and the bytes of blobs and manifests by digest.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { limits } from '../config/limits.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type Digest, digestAlgorithm, digestHex, isDigest } from '../oci/digest.ts'
import { isRepositoryName, type RepositoryName } from '../oci/repository-name.ts'
import { isTag } from '../oci/tag.ts'
import {
  type ContentSource,
  MoveError,
  type SourceImage,
  type SourceProblem,
} from './content-source.ts'
import { DirectoryTree, readSmall } from './file-tree.ts'
import { checkFile } from './stored-file.ts'

const linkBytesMax = 256

export class DistributionTree implements ContentSource {
  readonly description = 'a storage directory of distribution (docker-registry, Harbor)'
  readonly #root: string
  readonly #files: DirectoryTree

  /** @param root the directory that holds `repositories` and `blobs`. */
  constructor(root: string) {
    this.#root = root
    this.#files = new DirectoryTree(root)
  }

  async *list(): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    for await (const name of this.#listRepositories('', 0)) {
      if (isRepositoryName(name)) yield* this.#listImages(name)
      else yield { name, problem: 'no valid name of a repository' }
    }
  }

  /** Tags first, then what has none: children of indexes, and what refers to others. */
  async *#listImages(
    repository: RepositoryName,
  ): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    const manifests = `repositories/${repository}/_manifests`
    const tagged = new Set<string>()
    for (const tag of await this.#names(`${manifests}/tags`)) {
      const name = `${repository}:${tag}`
      const digest = await this.#readLink(name, `${manifests}/tags/${tag}/current/link`)
      if (typeof digest === 'object') yield digest
      else if (digest === undefined || !isTag(tag)) {
        yield { name, problem: 'a tag that names no manifest' }
      } else {
        tagged.add(digest)
        yield { repository, tag, digest }
      }
    }
    for (const algorithm of await this.#names(`${manifests}/revisions`)) {
      for (const hex of await this.#names(`${manifests}/revisions/${algorithm}`)) {
        // What was deleted has lost its link.
        const name = `${repository}@${algorithm}:${hex}`
        const path = `${manifests}/revisions/${algorithm}/${hex}/link`
        const digest = await this.#readLink(name, path)
        if (typeof digest === 'object') yield digest
        else if (digest !== undefined && !tagged.has(digest)) yield { repository, digest }
      }
    }
  }

  async *#listRepositories(path: string, depth: number): AsyncGenerator<string, void, undefined> {
    const names = await this.#names(`repositories/${path}`)
    if (path !== '' && names.includes('_manifests')) yield path
    if (depth >= limits.treeDepthMax) return
    for (const name of names.filter((name) => !name.startsWith('_'))) {
      yield* this.#listRepositories(path === '' ? name : `${path}/${name}`, depth + 1)
    }
  }

  /** One that cannot be read keeps no other image back. */
  async #readLink(name: string, path: string): Promise<Digest | SourceProblem | undefined> {
    try {
      if ((await this.#files.sizeOf(path)) === undefined) return undefined
      const text = (await readSmall(this.#files, path, linkBytesMax)).toString().trim()
      return isDigest(text) ? text : undefined
    } catch (error) {
      if (!(error instanceof MoveError)) throw error
      return { name, problem: error.message }
    }
  }

  async #names(path: string): Promise<string[]> {
    const entries = await readdir(join(this.#root, path), { withFileTypes: true }).catch(() => [])
    return entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .toSorted()
  }

  async readManifest(_: RepositoryName, digest: Digest): Promise<{ readonly bytes: Uint8Array }> {
    if ((await this.#files.sizeOf(pathOf(digest))) === undefined) {
      throw new MoveError(`${digest} is missing`)
    }
    return { bytes: await readSmall(this.#files, pathOf(digest), limits.manifestBytesMax) }
  }

  async checkBlob(_: RepositoryName, blob: Descriptor): Promise<void> {
    await checkFile(this.#files, pathOf(blob.digest), blob)
  }

  async *openBlob(_: RepositoryName, blob: Descriptor): AsyncGenerator<Uint8Array> {
    await checkFile(this.#files, pathOf(blob.digest), blob)
    yield* this.#files.read(pathOf(blob.digest))
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

function pathOf(digest: Digest): string {
  const hex = digestHex(digest)
  return `blobs/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}/data`
}
