// A data directory as Trow 0.7 to 0.10 left it, made by the tables that its migrations made, with
// manifests in the database and blobs in files named by their digest.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { ImageFixture } from './image-fixture.ts'

const tables = `
CREATE TABLE blob (digest TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL,
  last_accessed INTEGER NOT NULL DEFAULT (unixepoch())) STRICT;
CREATE TABLE manifest (digest TEXT NOT NULL PRIMARY KEY, json BLOB NOT NULL, blob BLOB NOT NULL) STRICT;
CREATE TABLE tag (tag TEXT NOT NULL, repo TEXT NOT NULL, manifest_digest TEXT NOT NULL,
  PRIMARY KEY (repo, tag)) STRICT;
`
/** Migration 3, of Trow 0.8, gave manifests a column of their own. */
const associations = {
  '0.7': `CREATE TABLE repo_blob_association (repo_name TEXT NOT NULL, blob_digest TEXT NOT NULL,
  PRIMARY KEY (repo_name, blob_digest)) STRICT;`,
  '0.10': `CREATE TABLE repo_blob_assoc (repo_name TEXT NOT NULL, blob_digest TEXT, manifest_digest TEXT,
  PRIMARY KEY (repo_name, blob_digest, manifest_digest));`,
}

export class OldTrow implements Disposable {
  readonly directory: string
  readonly #version: keyof typeof associations
  readonly #database: DatabaseSync

  private constructor(directory: string, version: keyof typeof associations) {
    this.directory = directory
    this.#version = version
    this.#database = new DatabaseSync(join(directory, 'trow.db'))
    this.#database.exec('PRAGMA journal_mode = WAL')
    this.#database.exec(tables)
    this.#database.exec(associations[version])
  }

  static async make(directory: string, version: keyof typeof associations): Promise<OldTrow> {
    await mkdir(join(directory, 'blobs'), { recursive: true })
    await mkdir(join(directory, 'uploads'))
    return new OldTrow(directory, version)
  }

  /** @param tag none for an image that is known by its digest alone. */
  async addImage(repository: string, image: ImageFixture, tag?: string): Promise<void> {
    for (const { digest, bytes } of image.blobs) {
      this.#run('INSERT OR IGNORE INTO blob (digest, size) VALUES (?, ?)', digest, bytes.length)
      this.#associate(repository, digest, null)
      await writeFile(this.blobPath(digest), bytes)
    }
    for (const { digest, bytes } of image.manifests) {
      this.#run('INSERT OR IGNORE INTO manifest VALUES (?, jsonb(?), ?)', digest, bytes, bytes)
      this.#associate(repository, null, digest)
    }
    if (tag !== undefined) this.addTag(repository, tag, image.root.digest)
  }

  addTag(repository: string, tag: string, digest: string): void {
    this.#run('INSERT INTO tag VALUES (?, ?, ?)', tag, repository, digest)
  }

  blobPath(digest: string): string {
    return join(this.directory, 'blobs', digest)
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #associate(repository: string, blob: string | null, manifest: string | null): void {
    const isOld = this.#version === '0.7'
    if (isOld) {
      const sql = 'INSERT OR IGNORE INTO repo_blob_association VALUES (?, ?)'
      this.#run(sql, repository, blob ?? manifest)
    } else {
      const sql = 'INSERT OR IGNORE INTO repo_blob_assoc VALUES (?, ?, ?)'
      this.#run(sql, repository, blob, manifest)
    }
  }

  #run(sql: string, ...values: (string | number | Buffer | null)[]): void {
    this.#database.prepare(sql).run(...values)
  }
}
