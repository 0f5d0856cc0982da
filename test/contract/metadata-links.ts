// The part of the metadata stores' contract that the record of links beside them tests: every change of
// what a repository has is noted, and told as it is when somebody asks.

import assert from 'node:assert/strict'
import { mediaTypes } from '../../src/oci/media-type.ts'
import type { LinkEntry } from '../../src/registry/ports/link-store.ts'
import type { MetadataStore } from '../../src/registry/ports/metadata-store.ts'
import {
  blob,
  digest,
  latest,
  manifest,
  type MetadataCheck,
  put,
  repository,
} from './metadata-entries.ts'

/** What is noted after a number, by reference; the last of each counts. */
async function changesAfter(m: MetadataStore, after: number): Promise<Map<string, LinkEntry>> {
  const upTo = await m.lastLinkChange()
  const changes = await m.listLinkChanges({ after, upTo, limit: 100 })
  assert.deepEqual(
    changes.map(({ id }) => id),
    changes.map(({ id }) => id).toSorted((a, b) => a - b),
  )
  return new Map(changes.map(({ entry }) => [entry.reference, entry]))
}

export function metadataLinks(check: MetadataCheck): void {
  const layer = { repository, reference: digest('layer') }
  const image = { repository, reference: digest('m') }
  const tag = { repository, reference: latest }
  const ofManifest = { digest: digest('m'), mediaType: mediaTypes.ociManifest }

  check('a link is noted of each blob, manifest and tag, and told as it is now', async (m) => {
    await m.putBlob(repository, blob('layer'))
    await put(m, manifest('m', { blobs: [digest('layer')] }), [latest])
    const changes = await changesAfter(m, 0)
    assert.deepEqual(changes.get(layer.reference), {
      ...layer,
      digest: layer.reference,
      mediaType: '',
    })
    assert.deepEqual(changes.get(image.reference), { ...image, ...ofManifest })
    assert.deepEqual(changes.get(latest), { ...tag, ...ofManifest })
  })

  check('a tag that moves is told with what it points at', async (m) => {
    await put(m, manifest('old'), [latest])
    const before = await m.lastLinkChange()
    await put(m, manifest('m'), [latest])
    assert.deepEqual((await changesAfter(m, before)).get(latest), { ...tag, ...ofManifest })
  })

  check('what is deleted is told as gone, its tags too', async (m) => {
    await m.putBlob(repository, blob('layer'))
    await put(m, manifest('m', { blobs: [digest('layer')] }), [latest])
    const before = await m.lastLinkChange()
    await m.deleteManifest(repository, digest('m'))
    const changes = await changesAfter(m, before)
    assert.deepEqual(changes.get(image.reference), image)
    assert.deepEqual(changes.get(latest), tag)
  })

  check(
    'of a repository that is gone all is told as gone, and as there when it is back',
    async (m) => {
      await m.putBlob(repository, blob('layer'))
      await put(m, manifest('m', { blobs: [digest('layer')] }), [latest])
      for (let isGone = false; !isGone;) ({ isGone } = await m.deleteRepositoryPart(repository, 1))
      const gone = await changesAfter(m, 0)
      for (const link of [layer, image, tag]) assert.deepEqual(gone.get(link.reference), link)
      await put(m, manifest('m'), [latest])
      const back = await changesAfter(m, 0)
      assert.deepEqual(back.get(latest), { ...tag, ...ofManifest })
      assert.deepEqual(back.get(layer.reference), layer)
    },
  )
}
