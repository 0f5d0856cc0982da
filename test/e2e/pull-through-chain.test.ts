// A registry in front of another one of the same program, which wants a login and hands out tokens:
// what was pushed to the one behind is pulled through the one in front.

import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { clients } from '../support/clients.ts'
import { realImageLayout } from '../support/real-image.ts'
import { startRegistry, type Registry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { requireTool } from '../support/tools.ts'
import { at } from './scene.ts'
import { deployer, repository, tag, transfers } from './upstream-scene.ts'

describe('a registry in front of another one', { concurrency: 2 }, () => {
  for (const name of ['skopeo', 'podman', 'crane', 'oras', 'regctl'] as const) {
    test(`${name} pulls cold, warm, and with the one behind gone`, async (t) => {
      if (requireTool(t, 'skopeo') === undefined || requireTool(t, name) === undefined) return
      const layout = await realImageLayout()
      await using directory = await temporaryDirectory()
      await using behind = await startRegistry({ user: deployer })
      const login = { username: deployer.name, password: deployer.password }
      const client = async (registry: Registry) => ({
        registry: registry.host,
        directory: await mkdtemp(join(directory.path, 'client-')),
      })
      const pushing = at({ ...(await client(behind)), auth: login }, repository, tag)
      await clients.skopeo.push(layout, pushing)

      const registries = [{ host: behind.host, insecure: true, ...login }]
      const config = JSON.stringify({ registry_proxies: { registries } })
      await using front = await startRegistry({ config })
      const path = `f/${behind.host.replace(':', '_')}/${repository}`
      const pull = async () => clients[name].pull(at(await client(front), path, tag))

      let from = behind.logs().length
      assert.equal(await pull(), layout.digest, 'cold')
      const cold = transfers(requestsOf(behind, from))
      assert.ok(cold.some((url) => url.includes('/blobs/')))
      assert.deepEqual(cold, [...new Set(cold)], 'nothing was fetched twice')

      from = behind.logs().length
      assert.equal(await pull(), layout.digest, 'warm')
      assert.deepEqual(transfers(requestsOf(behind, from)), [], 'warm')

      await behind.kill()
      assert.equal(await pull(), layout.digest, 'with the one behind gone')
    })
  }
})

function requestsOf(registry: Registry, from: number) {
  return registry
    .logs()
    .slice(from)
    .filter(({ method }) => typeof method === 'string')
    .map((line) => ({
      method: String(line['method']),
      path: String(line['path']),
      status: Number(line['status']),
    }))
}
