// No request reads a whole table, however large the database has become: SQLite is asked how it would
// run each query that requests make. What it may do all the same is read an index in its order and stop
// at a limit, as a page of the catalog does.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { type KyselyPlugin, SqliteQueryCompiler } from 'kysely'
import { type Databases, openSqlite } from '../../src/metadata/sqlite.ts'
import { SqlMetadataStore } from '../../src/metadata/sql-metadata-store.ts'
import type { MetadataStore } from '../../src/registry/ports/metadata-store.ts'
import type { UploadId } from '../../src/registry/ports/upload-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { blob, latest, manifest, other, repository, stable } from './metadata-entries.ts'

const upload = 'upload' as UploadId
const page = { after: 'a', limit: 10 }
const image = manifest('image', { blobs: [blob('layer').digest], subject: blob('subject').digest })
const index = manifest('index', { manifests: [image.digest] })

/** What requests ask of the store, by what they are for. In this order each finds what it needs. */
const requests: Record<string, (metadata: MetadataStore) => Promise<unknown>> = {
  'a blob upload': async (metadata) => {
    const session = {
      id: upload,
      repository,
      algorithm: 'sha256',
      offset: 0,
      updatedAt: 1,
    } as const
    await metadata.createUpload(session)
    await metadata.findUpload(repository, upload)
    await metadata.setUploadOffset(upload, 5)
    await metadata.putBlob(repository, blob('layer'), upload)
    await metadata.deleteUpload(upload)
  },
  'HEAD and GET of a blob': async (metadata) => {
    await metadata.findBlob(repository, blob('layer').digest)
    await metadata.promiseBlob(repository, blob('layer').digest, 0)
    await metadata.findManifestWithBlob(repository, blob('layer').digest)
  },
  'a mount': async (metadata) => {
    await metadata.findRepositoriesWithBlob(blob('layer').digest, 10)
    await metadata.mountBlob(other, blob('layer').digest, repository)
  },
  'a push of an image and of an index': async (metadata) => {
    await metadata.findMissingContent(repository, image)
    await metadata.putManifest(repository, image, [latest])
    await metadata.putManifest(repository, index, [latest, stable])
  },
  'GET of a manifest': async (metadata) => {
    await metadata.hasRepository(repository)
    await metadata.hasContent(repository)
    await metadata.findManifest(repository, latest)
    await metadata.findManifest(repository, image.digest)
    await metadata.touchManifests([{ repository, digest: index.digest, usedAt: 9 }])
  },
  'pages of tags and of referrers': async (metadata) => {
    await metadata.listTags(repository, page)
    await metadata.listReferrers(repository, blob('subject').digest, page)
    const artifactType = 'application/example'
    await metadata.listReferrers(repository, blob('subject').digest, { ...page, artifactType })
  },
  'a page of the catalog': (metadata) => metadata.listRepositories(page),
  'the first page of the catalog': (metadata) => metadata.listRepositories({ limit: 10 }),
  deleting: async (metadata) => {
    await metadata.deleteTag(repository, stable)
    await metadata.deleteManifest(repository, index.digest)
    await metadata.deleteManifest(repository, image.digest)
    await metadata.deleteBlob(repository, blob('layer').digest)
  },
}

/** Such requests look at one entry of an index after the other, up to their limit. */
const limited = /^SCAN repositories USING (COVERING )?INDEX/

describe('no request reads a whole table', () => {
  const compiler = new SqliteQueryCompiler()
  const asked = new Set<string>()
  const watching: KyselyPlugin = {
    transformQuery: ({ node, queryId }) => {
      asked.add(compiler.compileQuery(node, queryId).sql)
      return node
    },
    transformResult: ({ result }) => Promise.resolve(result),
  }
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let databases: Databases
  let metadata: MetadataStore
  let planner: DatabaseSync
  before(async () => {
    directory = await temporaryDirectory()
    const path = join(directory.path, 'metadata.db')
    databases = await openSqlite(path)
    const reads = databases.reads.withPlugin(watching)
    const write: Databases['write'] = (work, options) =>
      databases.write((transaction) => work(transaction.withPlugin(watching)), options)
    metadata = new SqlMetadataStore({ ...databases, reads, write }, new FakeClock())
    planner = new DatabaseSync(path)
  })
  after(async () => {
    planner.close()
    await databases[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })

  function scansOf(sql: string): string[] {
    const plan = planner.prepare(`explain query plan ${sql}`).all()
    return plan
      .map(({ detail }) => String(detail))
      .filter((detail) => detail.startsWith('SCAN') && !detail.startsWith('SCAN CONSTANT ROW'))
  }

  for (const [name, request] of Object.entries(requests)) {
    test(name, async () => {
      asked.clear()
      await request(metadata)
      assert.ok(asked.size > 0)
      for (const sql of asked) {
        const scans = scansOf(sql)
        const isFirstPage = / limit /.test(sql) && scans.every((scan) => limited.test(scan))
        assert.ok(scans.length === 0 || isFirstPage, `${scans.join('; ')}: ${sql}`)
      }
    })
  }

  test('a query that does is found', () => {
    assert.deepEqual(scansOf('select * from blobs where size = 5'), ['SCAN blobs'])
  })
})
