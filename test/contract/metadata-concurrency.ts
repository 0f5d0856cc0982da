// The part of the metadata stores' contract that many writers at once test: whatever their order,
// nothing stands without what it needs, and nothing is counted twice.

import assert from 'node:assert/strict'
import { parseTag } from '../../src/oci/tag.ts'
import {
  blob,
  digest,
  latest,
  manifest,
  type MetadataCheck,
  put,
  repository,
} from './metadata-entries.ts'

export function metadataConcurrency(check: MetadataCheck): void {
  const fifty = Array.from({ length: 50 }, (_, index) => index)

  check('fifty put blobs and manifests into a new repository at once', async (metadata) => {
    await Promise.all(
      fifty.map(async (index) => {
        await metadata.putBlob(repository, blob(`layer ${index % 7}`))
        const blobs = [digest(`layer ${index % 7}`)]
        await put(metadata, manifest(`m ${index % 10}`, { blobs }), [parseTag(`t${index}`), latest])
      }),
    )
    const { bytes: _, ...counts } = await metadata.countContent()
    assert.deepEqual(counts, { repositories: 1, manifests: 10, tags: 51, blobs: 17, uploads: 0 })
    for (const index of fifty) {
      const found = await metadata.findManifest(repository, parseTag(`t${index}`))
      assert.equal(found?.digest, digest(`m ${index % 10}`))
    }
  })

  check('a tag that fifty move at once names one of theirs', async (metadata) => {
    const entries = fifty.map((index) => manifest(`m ${index}`))
    await Promise.all(entries.map((entry) => put(metadata, entry, [latest])))
    const found = await metadata.findManifest(repository, latest)
    assert.ok(entries.some((entry) => entry.digest === found?.digest))
    assert.deepEqual(await metadata.listTags(repository, { limit: 10 }), ['latest'])
  })

  check('no manifest stands without its blob when one is put while the other goes', async (m) => {
    for (const index of fifty) await m.putBlob(repository, blob(`layer ${index}`))
    const races = fifty.map((index) => {
      const entry = manifest(`m ${index}`, { blobs: [digest(`layer ${index}`)] })
      const putting = (): Promise<unknown> => m.putManifest(repository, entry, [])
      const deleting = (): Promise<unknown> => m.deleteBlob(repository, digest(`layer ${index}`))
      const inTurn = index % 2 === 0 ? [putting, deleting] : [deleting, putting]
      return Promise.all(inTurn.map((start) => start()))
    })
    await Promise.all(races)
    for (const index of fifty) {
      const found = await m.findManifest(repository, digest(`m ${index}`))
      const stored = await m.findBlob(repository, digest(`layer ${index}`))
      assert.equal(found === undefined, stored === undefined, `manifest and blob ${index}`)
    }
  })

  check('no index stands without its child when one is put while the other goes', async (m) => {
    for (const index of fifty) await put(m, manifest(`child ${index}`))
    await Promise.all(
      fifty.flatMap((index) => {
        const entry = manifest(`index ${index}`, { manifests: [digest(`child ${index}`)] })
        const deleting = m.deleteManifest(repository, digest(`child ${index}`))
        return [m.putManifest(repository, entry, []), deleting]
      }),
    )
    for (const index of fifty) {
      const found = await m.findManifest(repository, digest(`index ${index}`))
      const child = await m.findManifest(repository, digest(`child ${index}`))
      assert.equal(found === undefined, child === undefined, `index and child ${index}`)
    }
  })
}
