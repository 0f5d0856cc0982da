/** Checking what is stored, put together: by hand, on a schedule, and of a registry that does not run. */
import type { Config } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { OperationSchedule, type ScheduleTimes } from '../registry/operation-schedule.ts'
import type { Operations } from '../registry/operations.ts'
import type { LinkKeeper } from '../registry/link-keeper.ts'
import type { Log } from '../registry/request-context.ts'
import { ContentRemoval } from '../registry/remove-content.ts'
import { Scrub } from '../registry/scrub.ts'
import type { Foundation } from './foundation.ts'
import type { Stores } from './stores.ts'

interface Parts {
  readonly links: LinkKeeper
  readonly log: Log
}

export function makeScrub(stores: Stores, parts: Parts): Scrub {
  const removal = new ContentRemoval(stores, { atOnceMax: limits.contentRemovedAtOnceMax })
  return new Scrub(
    { ...stores, ...parts, removal },
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
  links: LinkKeeper,
): { scrub: Scrub; scrubRate: () => number } {
  const scrub = makeScrub(stores, { links, log })
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
