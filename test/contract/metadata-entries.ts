// Blobs and manifests for the metadata stores' contract: a text stands for content.

import assert from 'node:assert/strict'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { mediaTypes } from '../../src/oci/media-type.ts'
import { parseRepositoryName } from '../../src/oci/repository-name.ts'
import { parseTag, type Tag } from '../../src/oci/tag.ts'
import type { MetadataStore } from '../../src/registry/ports/metadata-store.ts'
import type { BlobRecord, ManifestEntry } from '../../src/registry/ports/records.ts'
import type { FakeClock } from '../support/fake-clock.ts'

/** Runs a test on an empty store. */
export type MetadataCheck = (
  title: string,
  work: (metadata: MetadataStore, clock: FakeClock) => Promise<void>,
) => void

export const repository = parseRepositoryName('library/nginx')
export const other = parseRepositoryName('library/redis')
export const unknown = parseRepositoryName('nobody/nothing')
export const latest = parseTag('latest')
export const stable = parseTag('stable')

export function digest(text: string): Digest {
  return digestOf(Buffer.from(text))
}

export function blob(text: string): BlobRecord {
  return { digest: digest(text), size: text.length }
}

export function manifest(text: string, fields: Partial<ManifestEntry> = {}): ManifestEntry {
  return {
    ...blob(text),
    mediaType: mediaTypes.ociManifest,
    blobs: [],
    manifests: [],
    optionalBlobs: [],
    ...fields,
  }
}

export async function put(
  metadata: MetadataStore,
  entry: ManifestEntry,
  tags: readonly Tag[] = [],
): Promise<ManifestEntry> {
  assert.deepEqual(await metadata.putManifest(repository, entry, tags), { missing: [] })
  return entry
}
