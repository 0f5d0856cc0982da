// Nodes of a cluster, with the containerd of Debian and a current one, that have this registry as the
// mirror of all others: `_default/hosts.toml` as in the user guide, by ctr and as the kubelet pulls.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { pullOnNewNode, requireNode } from './containerd-node.ts'
import {
  isUpstreamHere,
  pullThreeTimes,
  pushToUpstream,
  repository,
  requireUpstream,
  tag,
  transfers,
  type UpstreamContent,
} from './upstream-scene.ts'

/** Nodes at work at the same time. */
const concurrency = 2

const editions = ['current', 'debian'] as const
const ways = ['ctr', 'cri'] as const

/** Both of the user guide's forms of `hosts.toml`, and both of the names that a registry has. */
const settings = {
  ctr: { scene: { isSecure: true }, hosts: {}, form: 'over HTTPS' },
  cri: {
    scene: { name: 'docker.io' },
    hosts: { more: 'skip_verify = true\n' },
    form: 'as Bottlerocket has it',
  },
} as const

describe('containerd with this registry as the mirror of all others', { concurrency }, () => {
  let layout: ImageLayout
  let content: UpstreamContent
  before(async () => {
    if (!isUpstreamHere('password')) return
    layout = await realImageLayout()
    // Nodes cannot reach this one without the mirror.
    content = await pushToUpstream(layout, 'password')
  })
  after(() => content?.[Symbol.asyncDispose]())

  for (const edition of editions) {
    for (const by of ways) {
      const { form, hosts } = settings[by]
      const how = `${edition === 'debian' ? "Debian's" : 'a current one'}, by ${by}, ${form}`
      test(`${how}: cold, warm, and with the upstream gone`, async (t) => {
        if (!requireUpstream(t, 'password') || !requireNode(t, edition)) return
        await using scene = await content.open(settings[by].scene)
        const image = `${scene.name}/${repository}:${tag}`
        await pullThreeTimes(scene, layout, async () =>
          pullOnNewNode(await scene.client(), image, { edition, by, ...hosts }),
        )
      })
    }
  }

  for (const by of ways) {
    test(`layers in pieces, several at a time, by ${by}: one transfer of each`, async (t) => {
      if (!requireUpstream(t, 'password') || !requireNode(t, 'current')) return
      await using scene = await content.open()
      const image = `${scene.name}/${repository}:${tag}`
      const options = { edition: 'current', by, chunkBytes: 256 * 1024 } as const
      const pull = async () => pullOnNewNode(await scene.client(), image, options)

      assert.equal(await pull(), layout.digest, 'cold')
      const cold = transfers(await scene.upstream.takeRequests())
      assert.deepEqual(cold, [...new Set(cold)], 'nothing was fetched twice')
      // It asks for all from a place on and leaves once it has its piece, which the log has as 499.
      const isPiece = (status: unknown) => status === 206 || status === 499
      const pieces = scene.registry.logs().filter(({ status }) => isPiece(status)).length
      assert.ok(pieces > 5 * cold.length, `only ${pieces} pieces of ${cold.length} things`)

      assert.equal(await pull(), layout.digest, 'warm')
      assert.deepEqual(transfers(await scene.upstream.takeRequests()), [], 'warm')
    })
  }
})
