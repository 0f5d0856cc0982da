// zot's benchmark, zb, as a test: its pushes and pulls of many sizes, several at a time, and its
// clean-up afterwards. It is found on the PATH only.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runClient } from '../support/clients.ts'
import { requireTool } from '../support/tools.ts'
import { openScene, type Login } from './scene.ts'

const requests = 4
const concurrency = 2

/** "Pull Mixed" forgets the three images that it pushed, in each of its clients: a fault of zb's. */
const repositoriesForgotten = 3

/** zb takes name and password in one word, and splits it at every colon. */
const bench: Login = { username: 'bench', password: 'pass word' }

const runs: { what: string; login?: Login; filter: string[]; testsMin: number }[] = [
  { what: 'every test, anonymous', filter: [], testsMin: 12 },
  {
    what: 'the small ones, with user and password',
    login: bench,
    filter: ['-t', '^(Get Catalog|P.* 1MB)$'],
    testsMin: 4,
  },
]

describe('zb', () => {
  for (const { what, login, filter, testsMin } of runs) {
    test(`${what}: no request fails, and what was pushed is deleted`, async (t) => {
      if (requireTool(t, 'zb') === undefined) return
      await using scene = await openScene(login && { login })
      const client = await scene.client()
      const credentials = login ? ['-A', `${login.username}:${login.password}`] : []
      const load = ['-c', String(concurrency), '-n', String(requests), '-d', client.directory]
      const args = [...load, ...credentials, ...filter, scene.registry.url]
      const output = await runClient('zb', args, client)

      const all = (pattern: RegExp) => Array.from(output.matchAll(pattern), ([, found]) => found)
      const tests = all(/^Test name:\s+(.+)$/gm)
      const failed = all(/^Failed requests:\s+(\d+)$/gm)
      const completed = all(/^Complete requests:\s+(\d+)$/gm)
      assert.ok(tests.length >= testsMin, output)
      assert.deepEqual(
        failed,
        Array.from(tests, () => '0'),
        output,
      )
      assert.deepEqual(
        completed,
        Array.from(tests, () => String(requests)),
        output,
      )

      const catalog = await scene.registry.request('GET', '/v2/_catalog')
      const { repositories } = catalog.json() as { repositories: string[] }
      const allowed = filter.length > 0 ? 0 : repositoriesForgotten * concurrency
      assert.ok(repositories.length <= allowed, `left behind: ${repositories.join(' ')}`)
    })
  }
})
