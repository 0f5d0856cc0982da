// The Docker daemon pulls through this registry: named in the path, and as one of its
// `registry-mirrors`, which it asks for Docker Hub's images without saying that it means Docker Hub.

import { after, before, describe, test, type TestContext } from 'node:test'
import { startDockerDaemon } from '../support/docker-daemon.ts'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { requireTool } from '../support/tools.ts'
import { requireRoot } from './client-table.ts'
import { requireNode } from './containerd-node.ts'
import {
  isUpstreamHere,
  pullThreeTimes,
  pushToUpstream,
  repository,
  requireUpstream,
  tag,
  type UpstreamContent,
} from './upstream-scene.ts'

function requireDocker(t: TestContext): boolean {
  if (requireTool(t, 'dockerd') === undefined) return false
  return requireRoot(t, 'dockerd') && requireNode(t, 'debian')
}

describe('the Docker daemon', () => {
  let layout: ImageLayout
  let content: UpstreamContent
  before(async () => {
    if (!isUpstreamHere('password')) return
    layout = await realImageLayout()
    content = await pushToUpstream(layout, 'password')
  })
  after(() => content?.[Symbol.asyncDispose]())

  test('pulls by path: cold, warm, and with the upstream gone', async (t) => {
    if (!requireUpstream(t, 'password') || !requireDocker(t)) return
    await using scene = await content.open()
    await using docker = await startDockerDaemon()
    const target = await scene.target()
    await pullThreeTimes(scene, layout, () =>
      docker.pull(`${target.registry}/${target.repository}`, target.tag),
    )
  })

  test('pulls with registry-mirrors: cold, warm, and with the upstream gone', async (t) => {
    if (!requireUpstream(t, 'password') || !requireDocker(t)) return
    const options = { name: 'docker.io', proxies: { default_upstream: 'docker.io' } }
    await using scene = await content.open(options)
    await using docker = await startDockerDaemon([scene.registry.url])
    await pullThreeTimes(scene, layout, () => docker.pull(repository, tag))
  })
})
