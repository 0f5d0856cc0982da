/** Garbage collection, and other work on the whole registry. */
const MiB = 1024 * 1024

export const collectionLimits = {
  /** Rows that are looked at in one step: half a millisecond, in which nobody else is served. */
  collectedRowsPerStep: 250,
  /** Blobs that are taken from their repositories in one transaction: 6 ms for 50 of a million. */
  collectedPerWriteMax: 25,
  /** Content that is forgotten in one transaction, and whose files are removed then. */
  collectedContentAtOnceMax: 10,
  /** Beside requests, a step is followed by a pause that is as many times as long. */
  collectionPauseShare: 1,
  /** What may be configured: shorter than a minute is for tests and emergencies. */
  collectionIntervalSecondsDefault: 3600,
  collectionIntervalSecondsMin: 1,
  collectionIntervalSecondsMax: 30 * 24 * 3600,
  /** A push of a large image over a slow line takes hours from its first layer to its manifest. */
  collectionGraceSecondsDefault: 24 * 3600,
  collectionGraceSecondsMin: 1,
  collectionGraceSecondsMax: 365 * 24 * 3600,
  /** That a blob was asked for is noted again only after so long, or a quarter of the grace. */
  promiseRenewalSecondsMax: 600,

  /** What may be configured to be kept. */
  retentionNewestMax: 1_000_000,
  retentionSecondsMin: 60,
  retentionSecondsMax: 100 * 365 * 24 * 3600,
  /** Tags of a repository that are judged together; one with more is left alone, and that is logged. */
  retentionTagsMax: 100_000,
  untaggedSecondsMin: 1,
  untaggedSecondsMax: 100 * 365 * 24 * 3600,
  /** Manifests, or blobs, of a repository that are deleted in one transaction. */
  repositoryRowsPerDeletion: 200,

  // -- operations (trow gc)
  /** Lines that wait for a slow reader before the work does. */
  operationItemsWaitingMax: 100,
  /** How often a reader hears how far it is; and that it still goes on, so that no proxy cuts it off. */
  operationProgressSecondsMin: 0.2,
  operationProgressSecondsMax: 5,
  /** One line of them, as a command reads it. */
  operationLineBytesMax: 1 * MiB,
} as const
