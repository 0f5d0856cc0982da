/** Moving content in and out: `trow import`, `trow mirror`, `trow export`. */
const MiB = 1024 * 1024
const GiB = 1024 * MiB

export const movingLimits = {
  /** How long a push that failed waits for the registry to drop what came. */
  pushCancelSecondsMax: 5,
  moveJobsDefault: 4,
  moveJobsMax: 32,
  /** Names of images held in memory, some 200 bytes each. */
  movedImagesMax: 1_000_000,
  /** Blobs of one image at a time. */
  movedBlobsAtOnce: 3,
  /** Bytes of a file that are read at a time. */
  movedChunkBytes: 1 * MiB,
  /** What images share is moved once; of what is forgotten the destination says that it has it. */
  movedBlobsRememberedMax: 100_000,
  movedManifestsRememberedMax: 2_000,
  /** Indexes in indexes, and referrers of referrers. */
  movedDepthMax: 8,
  /** How often a transfer is taken up again that brought nothing since it last was. */
  movedFruitlessTriesMax: 3,
  /** `index.json` and `manifest.json`: some 300 bytes an image, of a layout with 50,000. */
  layoutIndexBytesMax: 16 * MiB,
  /** Directories in directories: a name has at most 255 characters, few have more than 5 segments. */
  treeDepthMax: 32,
  /** Files of an archive, whose paths and places are kept in memory. */
  archiveEntriesMax: 100_000,
  /** Those of images have a hundred. */
  archivePathLengthMax: 1_024,
  /** Layers of one image in an archive; docker takes 127. */
  archiveLayersMax: 1_000,
  /** A header about a header: a path, and attributes of files. */
  archiveHeaderBytesMax: 1 * MiB,
  archiveLinksMax: 8,
  /** Of a compressed archive, which may be any number of bytes; a tenth of what is free stays free, too. */
  archiveUnpackedBytesMax: 256 * GiB,
} as const
