/** The pull-through cache: fetching, keeping and evicting. */
const KiB = 1024

export const pullThroughLimits = {
  /** Bytes at the end of a blob that no client gets before all of it was verified. */
  fillHeldBackBytes: 64 * KiB,
  /** Transfers in a row that bring no byte before a blob is given up. */
  fillFruitlessTriesMax: 5,
  fillRetryDelaySeconds: 0.5,
  /** Longer than an upstream is left alone after it failed several times in a row. */
  fillRetryAfterSecondsMax: 15,
  /** How long an upstream may take to answer while there is a copy to serve in its place. */
  tagCheckSecondsMax: 4,
  /** What a Trow behind another one has of that time, so that its answer still comes in time. */
  tagCheckShareBehind: 0.75,
  /** Checks of tags at a time that nobody waits for any more. */
  lateTagChecksMax: 64,
  /** Layers that nobody has asked for yet, fetched at a time: they must leave room for the others. */
  prefetchTransfersMax: 4,
  /** Layers that wait for that; hundreds of images are being pulled when there are more. */
  prefetchWaitingMax: 2_000,
  /** Shares of `max_size`: eviction begins above the first, and ends at the second. */
  cacheHighWatermark: 0.95,
  cacheLowWatermark: 0.85,
  /** Manifests and blobs evicted in one transaction: 0.6 ms each, in which nobody else is served. */
  cacheEvictedPerStepMax: 25,
  /** Files that are removed at once; whoever stores one of the same waits for all of them. */
  contentRemovedAtOnceMax: 50,
  /** After a disk or a database failed, eviction is not tried again for so long. */
  cacheEvictionRetrySeconds: 10,
  /** How long the size of the cache is counted on from one measurement: 4 s for a million blobs. */
  cacheMeasurementHoldsSeconds: 600,
  /** How much of the order in which images were used a crash may forget. */
  cacheUsesFlushSeconds: 10,
  cacheUsesGatheredMax: 10_000,
  cacheUsesPerWriteMax: 200,
  /** Blobs larger than `max_size`, so that each is logged once. */
  tooLargeBlobsRememberedMax: 1_000,
  /** Unlisted upstreams that are counted by name; the others are counted together. */
  upstreamsCountedMax: 100,
  /** Registries like this one that a request came through; a chain of three is rare already. */
  viaHopsMax: 8,
  /** Proxies of any kind; one that names itself anew each time is in a loop as well. */
  viaEntriesMax: 32,
  /** Tags whose last check, and refusals whose reason, are remembered. */
  pullsRememberedMax: 10_000,
} as const
