/**
 * Garbage collection, put together: what it goes by, and when it comes.
 */
import type { Config } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { BlobPromises } from '../registry/blob-promises.ts'
import { OperationSchedule } from '../registry/operation-schedule.ts'
import { Collector, type CollectorParts, type CollectorSettings } from '../registry/collector.ts'
import type { Log } from '../registry/request-context.ts'
import { Operations } from '../registry/operations.ts'
import { ContentRemoval } from '../registry/remove-content.ts'
import { UploadExpiry } from '../registry/upload-expiry.ts'
import type { Uploads } from '../registry/uploads.ts'
import type { Foundation } from './foundation.ts'
import type { Stores } from './stores.ts'

export function makeOperations(log: Log): Operations {
  return new Operations(
    { log },
    {
      itemsWaitingMax: limits.operationItemsWaitingMax,
      progressSecondsMin: limits.operationProgressSecondsMin,
      progressSecondsMax: limits.operationProgressSecondsMax,
    },
  )
}

export function makePromises(config: Config, stores: Stores): BlobPromises {
  return new BlobPromises(stores, {
    graceSeconds: config.collection.graceSeconds,
    renewalSecondsMax: limits.promiseRenewalSecondsMax,
  })
}

/** @param pauseShare of the time that a step takes, for others. */
export function makeCollector(
  config: Config,
  stores: Stores,
  parts: Pick<CollectorParts, 'uploads' | 'promises' | 'uses' | 'manifests' | 'log'>,
  pauseShare: number,
): Collector {
  const removal = new ContentRemoval(stores, { atOnceMax: limits.collectedContentAtOnceMax })
  return new Collector(
    { ...stores, ...parts, removal },
    {
      rowsPerStep: limits.collectedRowsPerStep,
      perWriteMax: limits.collectedPerWriteMax,
      tagsMax: limits.retentionTagsMax,
      pauseShare,
    },
    collectorSettings(config),
  )
}

/** Of a running server. */
export function startCollection(
  { config, log, onReload, stores, resources }: Foundation,
  running: Pick<CollectorParts, 'uses' | 'manifests'> & { readonly uploads: Uploads },
): { collector: Collector; operations: Operations; promises: BlobPromises } {
  const operations = makeOperations(log)
  const promises = makePromises(config, stores)
  const parts = { ...running, promises, log }
  const collector = makeCollector(config, stores, parts, limits.collectionPauseShare)
  resources.use(startUploadExpiry({ ...stores, ...running, log }, config, onReload))
  const schedule = new OperationSchedule(
    {
      operations,
      kind: 'gc',
      work: (monitor) => collector.collect({ dryRun: false }, monitor),
    },
    config.collection,
  )
  resources.use(schedule)
  onReload.push((changed) => {
    promises.setGraceSeconds(changed.collection.graceSeconds)
    collector.reload(collectorSettings(changed))
    schedule.reload(changed.collection)
  })
  return { collector, operations, promises }
}

function startUploadExpiry(
  parts: ConstructorParameters<typeof UploadExpiry>[0],
  config: Config,
  onReload: Foundation['onReload'],
): UploadExpiry {
  const expiry = new UploadExpiry(parts, config.uploadIdleSeconds, {
    intervalSeconds: limits.uploadExpiryIntervalSeconds,
    perRunMax: limits.uploadsExpiredPerRunMax,
  })
  onReload.push((changed) => expiry.setIdleSeconds(changed.uploadIdleSeconds))
  return expiry
}

function collectorSettings(config: Config): CollectorSettings {
  const { collection, uploadIdleSeconds, tagPolicy } = config
  const { graceSeconds, untaggedSeconds } = collection
  return {
    graceSeconds,
    uploadIdleSeconds,
    tagPolicy,
    ...(untaggedSeconds !== undefined && { untaggedSeconds }),
  }
}
