/** The commands beside `trow serve`. */
const MiB = 1024 * 1024

export const commandsLimits = {
  /** `trow ls` and `trow inspect`: requests at a time, rows held back to align a table. */
  listConcurrency: 8,
  listRowsBufferedMax: 256,
  /** Images that `trow ls` remembers, as many tags name the same one. */
  listImagesCachedMax: 1_000,
  inspectDepthMax: 8,
  inspectManifestsMax: 10_000,
  /** How long a Trow may take to begin an answer: as long as two time-outs for its upstream can be. */
  trowHeadersSecondsMax: 600,
  /** Before Trow itself ends a connection on which nothing moves. */
  trowBodyIdleSecondsMax: 100,
  /** `trow warm`: what is read to find images; the pods of a large cluster take some 50 MB. */
  warmInputBytesMax: 256 * MiB,
  warmImagesMax: 20_000,
  warmJobsDefault: 4,
  warmJobsMax: 32,
  /** Blobs of one image at a time: what containerd does, too. */
  warmBlobsAtOnce: 3,
  /** Between two bytes by which a blob is followed: some seconds, at the speed of most lines. */
  warmStepBytes: 16 * MiB,
  /** Waits for one such byte, as long as an idle connection each. */
  warmByteTriesMax: 10,
  /** From the last byte of a blob until it is on Trow's disk. */
  warmKeptSecondsMax: 600,
  warmKeptPollMsMin: 20,
  warmKeptPollMsMax: 2_000,
  /** Blobs that images share, so that each is looked at once. */
  warmBlobsRememberedMax: 100_000,
  /** Bars on a terminal, which may have few lines. */
  progressLinesMax: 10,
  /** `trow node-config`: links on the way to a file of the node. */
  nodeLinksMax: 40,
  /** containerd's own file with all that it imports. */
  nodeConfigFilesMax: 100,
  /** How long containerd waits for a connection to a Trow that may be away, before it goes on. */
  nodeDialSeconds: 2,
} as const
