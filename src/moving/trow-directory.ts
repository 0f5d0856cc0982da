/**
 * A data directory of Trow 0.7 to 0.10: tags and manifests in `trow.db`, blobs in `blobs/<digest>`. It
 * is only read. Those versions did not check what they were sent, so nothing in it is believed.
 */
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { limits } from '../config/limits.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { type Digest, parseDigest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { formatProxiedName, isProxiedName, parseProxiedName } from '../oci/proxied-name.ts'
import { parseRepositoryName, type RepositoryName } from '../oci/repository-name.ts'
import { parseTag } from '../oci/tag.ts'
import {
  type ContentSource,
  MoveError,
  type SourceImage,
  type SourceProblem,
} from './content-source.ts'
import { DirectoryTree } from './file-tree.ts'
import { checkFile } from './stored-file.ts'

interface Entry {
  readonly repository: string
  readonly tag: string | null
  readonly digest: string
}

export class TrowDirectory implements ContentSource {
  readonly description = 'a data directory of Trow 0.10 or older'
  readonly #database: DatabaseSync
  readonly #files: DirectoryTree

  private constructor(database: DatabaseSync, root: string) {
    this.#database = database
    this.#files = new DirectoryTree(root)
  }

  /** @throws MoveError when the database cannot be read. */
  static async open(root: string): Promise<TrowDirectory> {
    const { DatabaseSync } = await import('node:sqlite')
    const path = join(root, 'trow.db')
    try {
      const database = new DatabaseSync(path, { readOnly: true })
      database.prepare('SELECT count(*) FROM tag').get()
      return new TrowDirectory(database, root)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new MoveError(
        `${path} cannot be read: ${reason}; is the old Trow stopped, and may ${root} be written?`,
      )
    }
  }

  async *list(): AsyncGenerator<SourceImage | SourceProblem, void, undefined> {
    const tags = 'SELECT repo AS repository, tag, manifest_digest AS digest FROM tag ORDER BY 1, 2'
    for (const query of [tags, this.#untaggedQuery()]) {
      for (const entry of this.#database.prepare(query).iterate()) yield parseEntry(entry)
    }
  }

  /** Of migration 3 on manifests have a column of their own; before, they were among the blobs. */
  #untaggedQuery(): string {
    const known = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'repo_blob_assoc'"
    const [table, column] =
      this.#database.prepare(known).get() === undefined
        ? ['repo_blob_association', 'blob_digest']
        : ['repo_blob_assoc', 'manifest_digest']
    return (
      `SELECT DISTINCT a.repo_name AS repository, NULL AS tag, a.${column} AS digest ` +
      `FROM ${table} a JOIN manifest m ON m.digest = a.${column} WHERE NOT EXISTS ` +
      `(SELECT 1 FROM tag t WHERE t.repo = a.repo_name AND t.manifest_digest = a.${column})`
    )
  }

  async readManifest(_: RepositoryName, digest: Digest): Promise<{ readonly bytes: Uint8Array }> {
    const query = 'SELECT blob AS bytes FROM manifest WHERE digest = ? AND length(blob) <= ?'
    const row = this.#database.prepare(query).get(digest, limits.manifestBytesMax)
    const bytes = row?.['bytes']
    if (bytes instanceof Uint8Array) return { bytes }
    throw new MoveError(`the database has no manifest ${digest}, or a far too large one`)
  }

  async checkBlob(_: RepositoryName, blob: Descriptor): Promise<void> {
    await checkFile(this.#files, pathOf(blob), blob)
  }

  async *openBlob(_: RepositoryName, blob: Descriptor): AsyncGenerator<Uint8Array> {
    await checkFile(this.#files, pathOf(blob), blob)
    yield* this.#files.read(pathOf(blob))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close()
  }
}

function pathOf({ digest }: Descriptor): string {
  return `blobs/${digest}`
}

function parseEntry(row: Record<string, unknown>): SourceImage | SourceProblem {
  const { repository: name, tag, digest } = row as unknown as Entry
  if (![name, digest, tag ?? ''].every((value) => typeof value === 'string')) {
    return { name: 'trow.db', problem: 'an entry is no text' }
  }
  try {
    const repository = isProxiedName(name)
      ? formatProxiedName(parseProxiedName(name))
      : parseRepositoryName(name)
    return { repository, digest: parseDigest(digest), ...(tag !== null && { tag: parseTag(tag) }) }
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    return { name: tag === null ? `${name}@${digest}` : `${name}:${tag}`, problem: error.message }
  }
}
