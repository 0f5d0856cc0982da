// A database is made anew of what can be read: one manifest that the disk does not give is told.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { mediaTypes } from '../../../src/oci/media-type.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { type BlobStore, UnreadableContent } from '../../../src/registry/ports/blob-store.ts'
import type { Link, LinkEntry, LinkStore } from '../../../src/registry/ports/link-store.ts'
import type { MetadataStore } from '../../../src/registry/ports/metadata-store.ts'
import { Rebuild } from '../../../src/registry/rebuild.ts'

test('what the disk does not give is told, and the rest is brought back', async () => {
  const repository = parseRepositoryName('a')
  const mediaType = mediaTypes.ociManifest
  const layer = digestOf(Buffer.from('layer'))
  const lost = digestOf(Buffer.from('manifest'))
  const entries: Link[] = [
    { repository, reference: parseReference(lost), digest: lost, mediaType },
    { repository, reference: parseReference(layer), digest: layer, mediaType: '' },
  ]
  const links: Partial<LinkStore> = {
    read: async function* () {
      yield* entries
    },
  }
  const blobs: Partial<BlobStore> = {
    statBlob: (digest) => Promise.resolve({ digest, size: 5 }),
    openBlob: () => Promise.reject(new UnreadableContent(new OciError('UNAVAILABLE'))),
  }
  const put: string[] = []
  const metadata: Partial<MetadataStore> = {
    putBlob: (_repository, { digest }) => Promise.resolve(void put.push(digest)),
  }
  const told: { message?: string }[] = []
  const rebuild = new Rebuild(
    {
      blobs: blobs as BlobStore,
      metadata: metadata as MetadataStore,
      links: links as LinkStore,
    },
    { manifestBytesMax: 1_000, tellsIncomplete: true },
    {
      signal: new AbortController().signal,
      progress: () => undefined,
      tell: (item) => Promise.resolve(void told.push(item)),
    },
  )
  const report = await rebuild.run()
  assert.deepEqual([report.blobs, report.manifests, report.problems], [1, 0, 1])
  assert.deepEqual(put, [layer])
  assert.match(told[0]?.message ?? '', /its manifest is damaged or cannot be read/)
})

test('what was told last counts: blobs, then manifests, then tags as their manifests are now', async () => {
  const repository = parseRepositoryName('a')
  const contents = ['{"manifests":[]}', '{"manifests":[],"then":"a blob"}', 'blob', 'gone'].map(
    (text) => Buffer.from(text),
  )
  const [index, turned, blob, gone] = contents.map((bytes) => digestOf(bytes)) as [
    Digest,
    Digest,
    Digest,
    Digest,
  ]
  const link = (reference: string, digest: Digest, mediaType = ''): Link => {
    return { repository, reference: parseReference(reference), digest, mediaType }
  }
  const entries: LinkEntry[] = [
    link('v1', index, mediaTypes.ociIndex),
    link('removed', index, mediaTypes.ociIndex),
    link(index, index, mediaTypes.ociIndex),
    link(index, index, mediaTypes.dockerList),
    link(turned, turned, mediaTypes.ociIndex),
    link(turned, turned),
    link(gone, gone),
    link(blob, blob),
    { repository, reference: parseReference(gone) },
    { repository, reference: parseReference('removed') },
  ]
  const bytesOf = (digest: Digest): Buffer =>
    contents.find((bytes) => digestOf(bytes) === digest) ?? assert.fail(digest)
  const blobs: Partial<BlobStore> = {
    statBlob: (digest) => Promise.resolve({ digest, size: bytesOf(digest).length }),
    openBlob: (digest) =>
      Promise.resolve({
        size: bytesOf(digest).length,
        read: async function* () {
          yield bytesOf(digest)
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  }
  const put: unknown[] = []
  const metadata: Partial<MetadataStore> = {
    putBlob: (_repository, { digest }) => Promise.resolve(void put.push(digest)),
    putManifest: (_repository, { digest, mediaType }, tags) => {
      put.push([digest, mediaType, ...tags])
      return Promise.resolve({ missing: [] })
    },
  }
  const links: Partial<LinkStore> = {
    read: async function* () {
      yield* entries
    },
  }
  const rebuild = new Rebuild(
    { blobs: blobs as BlobStore, metadata: metadata as MetadataStore, links: links as LinkStore },
    { manifestBytesMax: 1_000, tellsIncomplete: false },
    {
      signal: new AbortController().signal,
      progress: () => undefined,
      tell: (item) => assert.fail(JSON.stringify(item)),
    },
  )
  await rebuild.run()
  assert.deepEqual(put, [
    turned,
    blob,
    [index, mediaTypes.dockerList],
    [index, mediaTypes.dockerList, 'v1'],
  ])
})
