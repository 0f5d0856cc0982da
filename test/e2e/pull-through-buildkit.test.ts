// BuildKit resolves the images that builds start from by way of this registry, in both forms that its
// mirrors have: the registry alone, and with the other registry's name in the path. It sends `ns` with
// either.

import { after, before, describe, test, type TestContext } from 'node:test'
import { buildFrom } from '../support/buildkit.ts'
import { realImageLayout, type ImageLayout } from '../support/real-image.ts'
import { requireTool, type ToolName } from '../support/tools.ts'
import { requireRoot } from './client-table.ts'
import {
  isUpstreamHere,
  pullThreeTimes,
  pushToUpstream,
  repository,
  requireUpstream,
  tag,
  type UpstreamContent,
} from './upstream-scene.ts'

const programs: readonly ToolName[] = ['buildkitd', 'buildctl', 'crun']

function requireBuildKit(t: TestContext): boolean {
  const isHere = programs.every((tool) => requireTool(t, tool) !== undefined)
  return isHere && requireRoot(t, 'buildkitd')
}

describe('BuildKit with this registry as a mirror', () => {
  let layout: ImageLayout
  let content: UpstreamContent
  before(async () => {
    if (!isUpstreamHere('password')) return
    layout = await realImageLayout()
    content = await pushToUpstream(layout, 'password')
  })
  after(() => content?.[Symbol.asyncDispose]())

  for (const path of ['', '/f/docker.io']) {
    test(`mirrors = ["registry${path}"]: cold, warm, and with the upstream gone`, async (t) => {
      if (!requireUpstream(t, 'password') || !requireBuildKit(t)) return
      await using scene = await content.open({ name: 'docker.io' })
      const mirrors = { 'docker.io': `${scene.registry.host}${path}` }
      await pullThreeTimes(scene, layout, async () =>
        buildFrom(`docker.io/${repository}:${tag}`, mirrors, await scene.client()),
      )
    })
  }
})
