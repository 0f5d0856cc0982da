// The distribution specification's conformance suite in its read-only mode, on a repository of another
// registry: through the cache it is a registry like any other.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { requireTool } from '../support/tools.ts'
import { runReadOnlyConformance } from './conformance-suite.ts'
import { listLayoutBlobs } from './stored-blobs.ts'
import { pushToUpstream, requireUpstream, tag } from './upstream-scene.ts'

/** Of the layout's manifests the digests, the index first. */
async function listManifests({ directory, digest }: ImageLayout): Promise<string[]> {
  const index = await readFile(join(directory, 'blobs', digest.replace(':', '/')), 'utf8')
  const { manifests } = JSON.parse(index) as { manifests: { digest: string }[] }
  return [digest, ...manifests.map((manifest) => manifest.digest)]
}

describe('the conformance suite on a repository of another registry', () => {
  for (const version of ['stable', 'dev'] as const) {
    test(`${version}, read-only: nothing fails`, async (t) => {
      if (!requireUpstream(t, 'password') || requireTool(t, 'conformance') === undefined) return
      const layout = await realImageLayout()
      await using content = await pushToUpstream(layout, 'password')
      await using scene = await content.open()
      const manifests = await listManifests(layout)
      const all = await listLayoutBlobs(layout.directory)
      const { repository } = await scene.target()
      const result = await runReadOnlyConformance(await scene.client(), version, {
        repository,
        tags: [tag],
        manifests,
        blobs: all.filter((digest) => !manifests.includes(digest)),
        subjects: manifests,
      })
      const { passed, failed, skipped, errors, problems } = result
      assert.deepEqual({ failed, skipped, errors }, { failed: 0, skipped: 0, errors: 0 }, problems)
      // Each thing is asked for with HEAD and with GET.
      assert.ok(passed >= 2 * all.length, `only ${passed} tests passed: ${problems}`)
      t.diagnostic(`${passed} tests passed`)
    })
  }
})
