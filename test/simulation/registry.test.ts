// A long random life of a registry, against the model: pushes in every way, mounts, tags, deletions,
// broken clients, broken disks, restarts. After every step every read answers what the model does,
// so nothing unverified is ever visible and nothing acknowledged is ever lost.
//
// TROW_SIMULATION_STEPS makes it longer, TROW_SIMULATION_SEED repeats one.

import { test } from 'node:test'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { Simulation } from './simulation.ts'

const steps = Number(process.env['TROW_SIMULATION_STEPS'] ?? 200)
const seed = Number(process.env['TROW_SIMULATION_SEED'] ?? Math.floor(Math.random() * 1_000_000))

test(`a registry lives ${steps} random steps as the model does (seed ${seed})`, async (t) => {
  await using directory = await temporaryDirectory()
  await using simulation = await Simulation.start(directory.path, seed)
  for (let step = 0; step < steps; step += 1) {
    try {
      await simulation.step()
      await simulation.compare()
    } catch (error) {
      const repeat = `TROW_SIMULATION_SEED=${seed} TROW_SIMULATION_STEPS=${step + 1}`
      const last = simulation.history.slice(-10).join('\n  ')
      throw new Error(`step ${step + 1} of seed ${seed}; repeat with ${repeat}\n  ${last}`, {
        cause: error,
      })
    }
  }
  t.diagnostic(simulation.summary())
})
