// A data directory as Trow 0.7 to 0.10 left it, made by the tables that its migrations made, with
// manifests in the database and blobs in files named by their digest.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { ImageFixture } from './image-fixture.ts'

/** 0.7.0, 0.7.2 and 0.8.0 each brought a migration; the tables were the same up to the next. */
export type OldVersion = '0.7.0' | '0.7.2' | '0.10'

const keepsMigrations = `
CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
  installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
  checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
`
const common = `
CREATE TABLE blob (digest TEXT NOT NULL PRIMARY KEY, size INTEGER NOT NULL,
  last_accessed INTEGER NOT NULL DEFAULT (unixepoch())) STRICT;
CREATE TABLE blob_upload (uuid TEXT NOT NULL PRIMARY KEY, offset INTEGER NOT NULL,
  updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, repo TEXT NOT NULL) STRICT;
`
const manifest = `CREATE TABLE manifest (digest TEXT NOT NULL PRIMARY KEY,
  json BLOB NOT NULL, blob BLOB NOT NULL) STRICT;`
const association = `CREATE TABLE repo_blob_association (repo_name TEXT NOT NULL,
  blob_digest TEXT NOT NULL, PRIMARY KEY (repo_name, blob_digest)) STRICT;`
const tagColumns = `tag TEXT NOT NULL, repo TEXT NOT NULL, manifest_digest TEXT NOT NULL,
  PRIMARY KEY (repo, tag)`

/** Each in its own words, with what the migrations come to; there also is a trigger. */
const tables: Record<OldVersion, readonly string[]> = {
  '0.7.0': [
    `CREATE TABLE manifest (digest TEXT NOT NULL PRIMARY KEY, last_accessed INTEGER NOT NULL
      DEFAULT (unixepoch()), json BLOB NOT NULL, blob BLOB NOT NULL) STRICT;`,
    association,
    `CREATE TABLE tag (${tagColumns}) STRICT;`,
  ],
  '0.7.2': [manifest, association, `CREATE TABLE tag (${tagColumns}) STRICT;`],
  '0.10': [
    manifest,
    `CREATE TABLE repo_blob_assoc (repo_name TEXT NOT NULL,
      blob_digest TEXT REFERENCES blob (digest) ON DELETE CASCADE,
      manifest_digest TEXT REFERENCES manifest (digest) ON DELETE CASCADE,
      PRIMARY KEY (repo_name, blob_digest, manifest_digest),
      CHECK (coalesce(blob_digest, manifest_digest) IS NOT NULL));`,
    `CREATE TABLE tag (${tagColumns},
      FOREIGN KEY (manifest_digest) REFERENCES manifest (digest) ON DELETE CASCADE) STRICT;`,
    `CREATE TABLE manifest_blob_assoc (
      manifest_digest TEXT NOT NULL REFERENCES manifest (digest) ON DELETE CASCADE,
      blob_digest TEXT NOT NULL REFERENCES blob (digest),
      PRIMARY KEY (manifest_digest, blob_digest));
    CREATE INDEX idx_manifest_blob_assoc_blob ON manifest_blob_assoc (blob_digest);`,
  ],
}

export class OldTrow implements Disposable {
  readonly directory: string
  readonly #version: OldVersion
  readonly #database: DatabaseSync

  private constructor(directory: string, version: OldVersion) {
    this.directory = directory
    this.#version = version
    // Rows that refer to nothing are what importing has to cope with.
    const options = { enableForeignKeyConstraints: false }
    this.#database = new DatabaseSync(join(directory, 'trow.db'), options)
    this.#database.exec('PRAGMA journal_mode = WAL')
    for (const sql of [keepsMigrations, common, ...tables[version]]) this.#database.exec(sql)
  }

  static async make(directory: string, version: OldVersion): Promise<OldTrow> {
    await mkdir(join(directory, 'blobs'), { recursive: true })
    await mkdir(join(directory, 'uploads'))
    return new OldTrow(directory, version)
  }

  /** Of each table its columns, keys and indexes, as the database knows them. */
  describeTables(): unknown {
    const list = `SELECT name, strict FROM pragma_table_list WHERE type = 'table'
      AND schema = 'main' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx%' ORDER BY name`
    return this.#database
      .prepare(list)
      .all()
      .map((table) => {
        const read = (sql: string) => this.#database.prepare(sql).all(table['name'] ?? '')
        return {
          ...table,
          columns: read('SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)'),
          references: read(
            'SELECT "table", "from", "to", on_delete FROM pragma_foreign_key_list(?) ORDER BY 2',
          ),
          indexes: read(
            `SELECT "unique", origin, (SELECT group_concat(i.name) FROM pragma_index_info(l.name) i) AS columns FROM pragma_index_list(?) l ORDER BY 2, 3`,
          ),
        }
      })
  }

  /** @param tag none for an image that is known by its digest alone. */
  async addImage(repository: string, image: ImageFixture, tag?: string): Promise<void> {
    for (const { digest, bytes } of image.blobs) {
      this.#run('INSERT OR IGNORE INTO blob (digest, size) VALUES (?, ?)', digest, bytes.length)
      this.#associate(repository, digest, null)
      await writeFile(this.blobPath(digest), bytes)
    }
    for (const { digest, bytes } of image.manifests) {
      const sql = 'INSERT OR IGNORE INTO manifest (digest, json, blob) VALUES (?, jsonb(?), ?)'
      this.#run(sql, digest, bytes, bytes)
      this.#associate(repository, null, digest)
    }
    if (tag !== undefined) this.addTag(repository, tag, image.root.digest)
  }

  addTag(repository: string, tag: string, digest: string): void {
    this.#run('INSERT INTO tag VALUES (?, ?, ?)', tag, repository, digest)
  }

  forgetManifest(digest: string): void {
    this.#run('DELETE FROM manifest WHERE digest = ?', digest)
  }

  blobPath(digest: string): string {
    return join(this.directory, 'blobs', digest)
  }

  [Symbol.dispose](): void {
    this.#database.close()
  }

  #associate(repository: string, blob: string | null, manifest: string | null): void {
    if (this.#version !== '0.10') {
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
