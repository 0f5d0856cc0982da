// Signatures are made where the image is and verified through the cache: cosign's, in the form of a
// referrer (listed by an upstream that has the referrers API, or by the tag that stands in for it) and
// in the older form of a tag.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { imageName, runClient, type Registry } from '../support/clients.ts'
import { realImageLayout } from '../support/real-image.ts'
import { requireTool } from '../support/tools.ts'
import type { LoggedRequest } from '../support/upstream-registry.ts'
import {
  pushToUpstream,
  repository,
  requireUpstream,
  transfers,
  upstreamKinds,
  type UpstreamScene,
} from './upstream-scene.ts'

const forms = [
  { form: 'a referrer', flags: [] },
  { form: 'a tag', flags: ['--new-bundle-format=false'] },
]

/** Neither a transparency log nor anything else of the world outside. */
const alone = ['--tlog-upload=false', '--use-signing-config=false']

const environment = { COSIGN_PASSWORD: 'of no use to anybody' }

describe('cosign verifies through the cache', () => {
  for (const kind of ['tokens', 'password'] as const) {
    for (const { form, flags } of forms) {
      test(`${form}, from ${upstreamKinds[kind]}: cold, warm, and with it gone`, async (t) => {
        if (!requireUpstream(t, kind) || requireTool(t, 'cosign') === undefined) return
        const layout = await realImageLayout()
        const { digest } = layout
        await using content = await pushToUpstream(layout, kind)
        await using scene = await content.open()
        const [keys, otherKeys] = [await makeKeys(scene), await makeKeys(scene)]
        await sign(scene, digest, keys, flags)
        const { upstream } = scene
        await upstream.takeRequests()

        assert.equal(await verify(scene, keys, flags), digest, 'cold')
        const cold = contentOf(await upstream.takeRequests())
        assert.ok(cold.some((path) => path.includes('/blobs/')))
        assert.deepEqual(cold, [...new Set(cold)], 'nothing was fetched twice')
        assert.equal(await verify(scene, keys, flags), digest, 'warm')
        assert.deepEqual(contentOf(await upstream.takeRequests()), [], 'warm')
        await assert.rejects(
          verify(scene, otherKeys, flags),
          /no matching (attestations|signatures)|invalid signature/,
        )
        await upstream.kill()
        assert.equal(await verify(scene, keys, flags), digest, 'with the upstream gone')
      })
    }
  }
})

/** Without lists of referrers, by whatever name, which are asked for each time. */
function contentOf(requests: readonly LoggedRequest[]): string[] {
  return transfers(requests).filter((path) => !/\/manifests\/sha256-[0-9a-f]{64}$/.test(path))
}

async function makeKeys(scene: UpstreamScene): Promise<Registry> {
  const keys = await scene.client()
  await runClient('cosign', ['generate-key-pair'], keys, environment)
  return keys
}

async function sign(
  scene: UpstreamScene,
  digest: string,
  keys: Registry,
  flags: readonly string[],
): Promise<void> {
  const { host } = scene.upstream
  const signer = { ...(await scene.client()), ...scene.access, registry: host }
  const key = ['--key', join(keys.directory, 'cosign.key'), '--yes', '--allow-http-registry']
  const image = `${host}/${repository}@${digest}`
  await runClient('cosign', ['sign', ...key, ...alone, ...flags, image], signer, environment)
}

/** @returns the digest that the signature is for. */
async function verify(
  scene: UpstreamScene,
  keys: Registry,
  flags: readonly string[],
): Promise<string> {
  const target = await scene.target()
  const key = ['--key', join(keys.directory, 'cosign.pub'), '--allow-http-registry']
  const args = ['verify', ...key, '--insecure-ignore-tlog', ...flags, imageName(target)]
  const [payload] = JSON.parse(await runClient('cosign', args, target)) as {
    critical: { image: { 'docker-manifest-digest': string } }
  }[]
  return payload?.critical.image['docker-manifest-digest'] ?? ''
}
