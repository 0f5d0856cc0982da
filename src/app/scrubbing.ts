/** Checking what is stored, put together: by hand, on a schedule, and of a registry that does not run. */
import type { Config } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import type { KnownDamage } from '../registry/known-damage.ts'
import { OperationSchedule, type ScheduleTimes } from '../registry/operation-schedule.ts'
import type { Operations } from '../registry/operations.ts'
import type { Log } from '../registry/request-context.ts'
import { ContentRemoval } from '../registry/remove-content.ts'
import { Scrub } from '../registry/scrub.ts'
import type { Foundation } from './foundation.ts'
import type { Stores } from './stores.ts'

export function makeScrub(stores: Stores, damage: KnownDamage, log: Log): Scrub {
  const removal = new ContentRemoval(stores, { atOnceMax: limits.contentRemovedAtOnceMax })
  return new Scrub(
    { ...stores, removal, damage, log },
    {
      rowsPerPage: limits.scrubbedRowsPerPage,
      orphanSecondsMin: limits.orphanSecondsMin,
      holdersShownMax: limits.holdersShownMax,
      manifestBytesMax: limits.manifestBytesMax,
    },
  )
}

/** Of a running server. */
export function startScrub(
  { config, log, onReload, stores, resources }: Foundation,
  operations: Operations,
  damage: KnownDamage,
): { scrub: Scrub; scrubRate: () => number } {
  const scrub = makeScrub(stores, damage, log)
  let { rateBytes } = config.scrub
  const schedule = new OperationSchedule(
    {
      operations,
      kind: 'scrub',
      work: (monitor) => scrub.scrub({ repair: true, rateBytes }, monitor),
    },
    timesOf(config),
  )
  resources.use(schedule)
  onReload.push((changed) => {
    rateBytes = changed.scrub.rateBytes
    schedule.reload(timesOf(changed))
  })
  return { scrub, scrubRate: () => rateBytes }
}

function timesOf({ scrub }: Config): ScheduleTimes {
  const { intervalSeconds } = scrub
  return { isEnabled: intervalSeconds !== undefined, intervalSeconds: intervalSeconds ?? 0 }
}
