// Real clients while the other registry has had enough (429), fails (503) or hangs: what is not in the
// cache cannot be pulled, and the client says why; what is in it can, and the other registry is left
// in peace.

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { after, before, describe, test, type TestContext } from 'node:test'
import { clients } from '../support/clients.ts'
import type { ContainerdEdition } from '../support/containerd-config.ts'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { until } from '../support/until.ts'
import { UpstreamGate } from '../support/upstream-gate.ts'
import { requireClient } from './client-table.ts'
import { pullOnNewNode, requireNode, urlOf } from './containerd-node.ts'
import {
  isUpstreamHere,
  pathOf,
  pushToUpstream,
  repository,
  requireUpstream,
  tag,
  type UpstreamContent,
  type UpstreamScene,
} from './upstream-scene.ts'

/** Clients at work at the same time. */
const concurrency = 2

interface Puller {
  readonly name: string
  readonly isHere: (t: TestContext) => boolean
  /** Pulls the scene's image as a client that has nothing yet; its digest. */
  readonly pull: (scene: UpstreamScene) => Promise<string>
  /** What it says when there are too many requests. */
  readonly complaint: RegExp
}

function byPath(
  name: 'skopeo' | 'podman' | 'crane' | 'oras' | 'regctl',
  complaint = /toomanyrequests: \S+ answered with status 429/i,
): Puller {
  return {
    name,
    isHere: (t) => requireClient(t, name),
    async pull(scene) {
      const target = await scene.target()
      try {
        return await clients[name].pull(target)
      } finally {
        await rm(target.directory, { recursive: true, force: true })
      }
    },
    complaint,
  }
}

/** Without the way round the mirror, so that it says what the mirror says. */
function byKubelet(edition: ContainerdEdition): Puller {
  return {
    name: edition === 'debian' ? "Debian's containerd" : 'containerd',
    isHere: (t) => requireNode(t, edition),
    async pull(scene) {
      const client = await scene.client()
      const options = { edition, by: 'cri', before: `server = "${urlOf(client)}"\n` } as const
      return await pullOnNewNode(client, `${scene.name}/${repository}:${tag}`, options)
    },
    complaint: /429 Too Many Requests/,
  }
}

const skopeo = byPath('skopeo')
const containerd = byKubelet('current')
const crane = byPath('crane')

const pullers = [
  byPath('podman'),
  containerd,
  byKubelet('debian'),
  skopeo,
  crane,
  byPath('oras'),
  byPath('regctl', /retry limit exceeded/),
]

function limited(seconds: number) {
  return { status: 429, headers: { 'retry-after': String(seconds) } }
}

describe('while another registry does not answer as it should', { concurrency }, () => {
  let layout: ImageLayout
  let content: UpstreamContent
  before(async () => {
    if (!isUpstreamHere('tokens')) return
    layout = await realImageLayout()
    content = await pushToUpstream(layout, 'tokens')
  })
  after(() => content?.[Symbol.asyncDispose]())

  for (const { name, isHere, pull, complaint } of pullers) {
    test(`429: ${name} says so, and pulls what is in the cache`, async (t) => {
      if (!requireUpstream(t, 'tokens') || !isHere(t)) return
      await using scene = await content.open({ name: 'docker.io' })
      const gate = gateOf(scene)
      // Some clients wait for as long as it says, a few times.
      gate.answer = limited(1)
      await assert.rejects(pull(scene), complaint, 'cold')

      gate.answer = 'pass'
      await until('the upstream is asked again', () => isTagHere(scene))
      assert.equal(await pull(scene), layout.digest)

      gate.answer = limited(60)
      await gate.takeRequests()
      assert.equal(await pull(scene), layout.digest, 'warm')
      assert.deepEqual(
        (await gate.takeRequests()).map(({ method, status }) => [method, status]),
        [['HEAD', 429]],
      )
    })
  }

  test('429: however often a containerd asks, the upstream is asked once', async (t) => {
    if (!requireUpstream(t, 'tokens') || !containerd.isHere(t)) return
    await using scene = await content.open({ name: 'docker.io' })
    const gate = gateOf(scene)
    gate.answer = limited(60)
    await assert.rejects(containerd.pull(scene), containerd.complaint)
    const refused = scene.registry.logs().filter(({ route, status }) => route && status === 429)
    assert.ok(refused.length >= 5, `${refused.length} requests`)
    assert.equal((await gate.takeRequests()).length, 1)
  })

  test('503: crane says so, with the name of who answered it', async (t) => {
    if (!requireUpstream(t, 'tokens') || !crane.isHere(t)) return
    await using scene = await content.open({ name: 'docker.io' })
    const gate = gateOf(scene)
    gate.answer = { status: 503 }
    const complaint = new RegExp(`UNAVAILABLE: ${gate.host} answered with status 503`)
    await assert.rejects(crane.pull(scene), complaint)
  })

  for (const { name, isHere, pull } of [skopeo, containerd]) {
    test(`503, or no answer at all: ${name} pulls what is in the cache`, async (t) => {
      if (!requireUpstream(t, 'tokens') || !isHere(t)) return
      await using scene = await content.open({ name: 'docker.io' })
      assert.equal(await pull(scene), layout.digest)
      for (const answer of [{ status: 503 }, 'nothing'] as const) {
        gateOf(scene).answer = answer
        assert.equal(await pull(scene), layout.digest)
      }
    })
  }
})

function gateOf({ upstream }: UpstreamScene): UpstreamGate {
  assert.ok(upstream instanceof UpstreamGate)
  return upstream
}

async function isTagHere({ registry, name }: UpstreamScene): Promise<boolean> {
  const path = `/v2/${pathOf(name)}/manifests/${tag}`
  return (await registry.request('HEAD', path)).status === 200
}
