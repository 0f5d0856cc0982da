/**
 * A directory with an OCI image layout for each repository, as zot keeps them: the path to a layout is
 * the repository's name.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { limits } from '../config/limits.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { isRepositoryName, type RepositoryName } from '../oci/repository-name.ts'
import {
  type ContentSource,
  MoveError,
  type SourceImage,
  type SourceProblem,
} from './content-source.ts'
import { DirectoryTree } from './file-tree.ts'
import { OciLayout } from './oci-layout.ts'

export class LayoutRoot implements ContentSource {
  readonly description = 'a directory of OCI image layouts (zot)'
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  async *list(): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    for await (const name of listLayouts(this.#root)) {
      try {
        if (isRepositoryName(name)) yield* this.#layout(name).list()
        else yield { name, problem: 'no valid name of a repository' }
      } catch (error) {
        if (!(error instanceof MoveError)) throw error
        yield { name, problem: error.message }
      }
    }
  }

  async readManifest(
    repository: RepositoryName,
    digest: Digest,
  ): Promise<{ readonly bytes: Uint8Array }> {
    return await this.#layout(repository).readManifest(repository, digest)
  }

  async checkBlob(repository: RepositoryName, blob: Descriptor): Promise<void> {
    await this.#layout(repository).checkBlob(repository, blob)
  }

  openBlob(repository: RepositoryName, blob: Descriptor): AsyncIterable<Uint8Array> {
    return this.#layout(repository).openBlob(repository, blob)
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #layout(repository: RepositoryName): OciLayout {
    return new OciLayout(new DirectoryTree(join(this.#root, repository)), repository)
  }
}

/** Paths of the layouts below `root`. */
export async function* listLayouts(
  root: string,
  path = '',
  depth = 0,
): AsyncGenerator<string, void, undefined> {
  const entries = await readdir(join(root, path), { withFileTypes: true }).catch(() => [])
  const names = entries.map(({ name }) => name)
  if (path !== '' && names.includes('index.json') && names.includes('oci-layout')) yield path
  if (depth >= limits.treeDepthMax) return
  for (const entry of entries) {
    // zot's own begin so: no repository's name does.
    const isOther = /^[_.]/.test(entry.name) || entry.name === 'blobs'
    if (!entry.isDirectory() || isOther) continue
    yield* listLayouts(root, path === '' ? entry.name : `${path}/${entry.name}`, depth + 1)
  }
}
