/** Content: manifests, lists of it, uploads, reading, and the database that knows about it. */
const KiB = 1024
const MiB = 1024 * 1024

export const contentLimits = {
  // -- content
  /** The specification asks for at least 4 megabytes; the conformance suite pushes 3.9. */
  manifestBytesMax: 4 * MiB,
  /** Descriptors of one manifest; far over any real index, it bounds one transaction. */
  manifestReferencesMax: 10_000,
  /** `?tag=` parameters of one manifest push; the specification asks for at least 10. */
  tagsPerPushMax: 64,

  // -- pages
  /** Tags or repositories on a page when the client names no number. */
  pageEntriesDefault: 1_000,
  /** A page never holds more than this, whatever `n` says; `Link` leads on. */
  pageEntriesMax: 10_000,
  /** Repositories that a blob may be mounted from, looked at when the client names none. */
  mountCandidatesMax: 100,
  /** A page of referrers is itself a manifest, so it keeps to the manifest's size. */
  referrersPageBytesMax: 4 * MiB,
  referrersPageEntriesMax: 1_000,

  // -- uploads
  /** A session that nothing was sent to for this long is removed. */
  uploadIdleSecondsDefault: 24 * 3600,
  /** How often idle sessions are looked for. */
  uploadExpiryIntervalSeconds: 600,
  uploadsExpiredPerRunMax: 1_000,
  /** Sessions whose running digest is kept in memory; the others are hashed again at the end. */
  uploadDigestersMax: 1_024,
  /** Bytes gathered before one write to the staged file. */
  uploadWriteBytes: 512 * KiB,
  /** Such bytes of all uploads together, which share them; beyond it they are written as they come. */
  uploadGatheredBytesMax: 8 * MiB,
  /** Bytes of an upload after which they are synced while more arrive: at the end few are left to. */
  uploadSyncBytes: 16 * MiB,
  /** Half of the threads that also read and write everything else. */
  uploadSyncsAtOnce: 8,
  /** Smaller bodies are hashed on the event loop: in 2.5 ms at most, and without a thread in memory. */
  hashThreadBodyBytesMin: 4 * MiB,
  /** Where nobody knows the length: what a socket gives at once. Small blobs are less than that. */
  hashThreadRunBytesMin: 64 * KiB,
  /** Bytes that the thread has and did not hash yet; who has more for it waits. */
  hashThreadBacklogBytesMax: 2 * MiB,
  /** What it may take for itself, and how long it waits for more to hash. */
  hashThreadHeapMiBMax: 16,
  hashThreadIdleSecondsMax: 30,
  /** It hashes what it can have in milliseconds: silent for so long it hangs, and is given up. */
  hashThreadSilenceSecondsMax: 30,
  /** After it failed; the event loop hashes meanwhile. */
  hashThreadRetrySeconds: 60,

  /** How much of a body of unknown length is let in at a time, where the disk has a bound. */
  storageStepBytes: 8 * MiB,
  /** After a push was refused for want of room: collection and people take their time. */
  storageRetryAfterSeconds: 60,
  /** Asking the disk costs little, but scrapes may come from many sides. */
  storageFreeHoldsSeconds: 1,

  // -- reading
  /** Two buffers of this size per response: 2.3 s CPU for 5 GiB, 64 KiB chunks took 6.6 s. */
  readBufferBytes: 1 * MiB,
  /** Of pieces of blobs that nobody reads now, kept for who reads the same ones, or for other ones. */
  readBuffersIdleBytesMax: 4 * MiB,
  /** Of all buffers in use and idle: a new one has a third at most of what those in use leave. */
  readBuffersBytesMax: 6 * MiB,
  /** Blobs whose last opening is remembered, with their paths: about 250 KiB of memory. */
  filesOpenedLatelyMax: 1_000,
  /** No smaller, though slow responses hold all that: two thousand take 125 MiB. */
  readBufferBytesMin: 32 * KiB,
  /** Blobs whose bytes were found right as they were read: about 3 MiB of memory. */
  readChecksRememberedMax: 20_000,
  /** Then they are hashed again as they are read. */
  readChecksRememberedSeconds: 24 * 3600,
  /** Ranges of one request; more are answered with the whole blob (RFC 9110, 14.2). */
  rangesPerRequestMax: 16,
  /** Bytes of manifests kept in memory for the hot read path. */
  manifestCacheBytesMax: 64 * MiB,
  manifestCacheEntriesMax: 10_000,

  // -- listing what is stored
  /** Blobs that are looked at in one step of a listing; others are served between two steps. */
  blobsListedPerPage: 256,

  // -- database
  /** How long a lock of another program is waited for; requests that only read go on meanwhile. */
  databaseBusySecondsMax: 5,
  /** Pages of 4 KiB of the log that are moved into the database together; more seldom than SQLite would. */
  walPagesPerCheckpoint: 4_000,
  /** Then those who write wait until all of it is moved: 32 MiB. */
  walPagesMax: 8_000,
  /** Then it is moved within a commit: the thread that should do it could not. */
  walPagesUntendedMax: 16_000,
  /** What the thread that does it may take, and how long it waits for more of it. */
  walThreadHeapMiBMax: 16,
  walThreadIdleSecondsMax: 10,

  // -- scrub
  scrubIntervalSecondsMin: 3600,
  scrubIntervalSecondsMax: 365 * 24 * 3600,
  scrubbedRowsPerPage: 500,
  /** Bytes without a row may be those of a push that is being stored: an upload of the slowest kind. */
  orphanSecondsMin: 3600,
  /** Repositories that are named with damaged content. */
  holdersShownMax: 20,

  // -- backup
  backupReadBytes: 1 * MiB,
  /** Each one is for content that was deleted while the one before was copied. */
  backupSnapshotsMax: 5,
  /** Of the files beside content and database; the largest is a key of 32 bytes. */
  backupFileBytesMax: 64 * KiB,
  /** Of what is free when a restore begins, what it leaves to the registry. */
  restoreSparedShare: 0.02,

  // -- links
  /** Lines that are written with one sync. */
  linksPerWrite: 500,
  /** By how much the file may be more than twice its size before it is written anew. */
  linksSlackBytes: 16 * MiB,
  /** How often notes of what is written are dropped, so that a push need not wait for it. */
  linksTidySeconds: 10,
} as const
