/** What a backup consists of: the files of a data directory that are not of one process or one moment. */
import { type Digest, digestAlgorithm, digestHex, isDigest } from '../../oci/digest.ts'

/** Says that a directory or archive is a backup, and of which form. */
export const markName = 'backup.json'
export const backupForm = 1
export const databaseName = 'metadata.db'
export const formatName = 'format.json'
/** Whoever has it can make tokens, so it has its owner's rights only. */
export const keyName = 'token.key'

export function blobName(digest: Digest): string {
  const hex = digestHex(digest)
  return `blobs/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}`
}

/** @returns undefined for what is no blob of a backup. */
export function parseBlobName(name: string): Digest | undefined {
  const [, algorithm, hex] = /^blobs\/([a-z0-9]+)\/[0-9a-f]{2}\/([0-9a-f]+)$/.exec(name) ?? []
  const digest = `${algorithm}:${hex}`
  return isDigest(digest) && blobName(digest) === name ? digest : undefined
}

export function isBackupName(name: string): boolean {
  const known = [markName, databaseName, formatName, keyName].includes(name)
  return known || parseBlobName(name) !== undefined
}
