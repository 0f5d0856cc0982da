// The OCI distribution specification's conformance suite, as released and from its main branch, with
// every API and every kind of data turned on: nothing fails, and nothing is left out.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { requireTool } from '../support/tools.ts'
import { disabledData, runConformance } from './conformance-suite.ts'
import { alice, openScene } from './scene.ts'

/** So that a suite that stopped early, or tested nothing, does not pass. */
const passedMin = 900

const runs = [
  { version: 'stable', how: 'over HTTP', scene: {} },
  { version: 'dev', how: 'over HTTP', scene: {} },
  {
    version: 'dev',
    how: 'over HTTPS with user and password',
    scene: { isSecure: true, login: alice },
  },
] as const

describe('the conformance suite', () => {
  for (const { version, how, scene: options } of runs) {
    test(`${version} ${how}: everything passes, nothing is skipped`, async (t) => {
      if (requireTool(t, 'conformance') === undefined) return
      await using scene = await openScene(options)
      const result = await runConformance(await scene.client(), version)
      const { passed, failed, skipped, errors, problems, verdicts } = result
      assert.deepEqual({ failed, skipped, errors }, { failed: 0, skipped: 0, errors: 0 }, problems)
      assert.ok(passed >= passedMin, `only ${passed} tests passed`)
      const notPassed = Array.from(verdicts).filter(([, verdict]) => verdict !== 'Pass')
      assert.deepEqual(notPassed, [[disabledData, 'Disabled']])
      t.diagnostic(`${passed} tests passed`)
    })
  }
})
