/**
 * Evicting cached content, and forgetting content that nobody has. Invariants: a manifest takes
 * along only blobs of its own repository that no other manifest there refers to; what other
 * repositories have stays theirs; the bytes of content may go only when its row is gone.
 */
import type { ExpressionBuilder, Transaction } from 'kysely'
import type { Digest } from '../../oci/digest.ts'
import type {
  Evictable,
  EvictionRequest,
  EvictionResult,
} from '../../registry/ports/cache-metadata.ts'
import type { BlobRecord } from '../../registry/ports/records.ts'
import type { Schema } from '../schema.ts'
import { batches, holders, holdersOf, referencesOf, referencesTo } from './cache.ts'
import { type Executor, findRepositoryId } from './repositories.ts'

/** One transaction ends after this many, so that others need not wait: an image has a dozen. */
const referencesPerTransaction = 10_000

/** Content that a repository has no more, and how many references had to be followed for that. */
interface Unlinked {
  readonly digests: readonly string[]
  readonly references: number
}

export async function evict(
  db: Transaction<Schema>,
  entries: readonly Evictable[],
  { bytes, inUse }: EvictionRequest,
): Promise<EvictionResult> {
  const evicted: Evictable[] = []
  const nobodys: BlobRecord[] = []
  let [taken, freed, references] = [0, 0, 0]
  for (const entry of entries) {
    if (freed >= bytes || references >= referencesPerTransaction) break
    taken += 1
    const unlinked = await evictEntry(db, entry, inUse)
    if (unlinked === undefined) continue
    evicted.push(entry)
    references += unlinked.references
    for (const content of await nobodysOf(db, unlinked.digests)) {
      nobodys.push(content)
      freed += content.size
    }
  }
  return { taken, evicted, nobodys }
}

/** @returns undefined for what is in use, or was used since. */
async function evictEntry(
  db: Transaction<Schema>,
  entry: Evictable,
  inUse: EvictionRequest['inUse'],
): Promise<Unlinked | undefined> {
  const repositoryId = await findRepositoryId(db, entry.repository)
  if (repositoryId === undefined || inUse.has(entry.digest)) return undefined
  const references = entry.kind === 'blob' ? [] : await referencesOf(db, repositoryId, entry.digest)
  if (references.some((digest) => inUse.has(digest as Digest))) return undefined
  const deleted = await db
    .deleteFrom(entry.kind === 'blob' ? 'repository_blobs' : 'manifests')
    .where('repository_id', '=', repositoryId)
    .where('digest', '=', entry.digest)
    .where('used_at', '=', entry.usedAt)
    .executeTakeFirst()
  if (deleted.numDeletedRows === 0n) return undefined
  const blobs = await unlinkUnneeded(db, repositoryId, references)
  return { digests: [entry.digest, ...blobs], references: references.length }
}

/** Takes from the repository which of these blobs no manifest of it refers to. */
async function unlinkUnneeded(
  db: Transaction<Schema>,
  repositoryId: number,
  digests: readonly string[],
): Promise<string[]> {
  const unlinked: string[] = []
  for (const batch of batches(digests)) {
    const rows = await db
      .deleteFrom('repository_blobs')
      .where('repository_id', '=', repositoryId)
      .where('digest', 'in', batch)
      .where((where) => where.not(where.exists(referencesTo(where))))
      .returning('digest')
      .execute()
    unlinked.push(...rows.map((row) => row.digest))
  }
  return unlinked
}

/** Which of these no repository has. */
async function nobodysOf(
  db: Transaction<Schema>,
  digests: readonly string[],
): Promise<BlobRecord[]> {
  const found: BlobRecord[] = []
  for (const batch of batches(digests)) {
    const rows = await db
      .selectFrom('blobs')
      .select(['digest', 'size'])
      .where('digest', 'in', batch)
      .where(isNobodys)
      .execute()
    found.push(...rows.map(({ digest, size }) => ({ digest: digest as Digest, size })))
  }
  return found
}

/** @returns those that are known no more. */
export async function forgetContent(
  db: Transaction<Schema>,
  digests: readonly Digest[],
): Promise<Digest[]> {
  const left = new Set<string>()
  for (const batch of batches(digests)) {
    const nobodys = db.selectFrom('blobs').select(['digest', 'size']).where(isNobodys)
    await db
      .insertInto('removals')
      .columns(['digest', 'size'])
      .expression(nobodys.where('digest', 'in', batch))
      .onConflict((conflict) => conflict.column('digest').doNothing())
      .execute()
    await db.deleteFrom('blobs').where('digest', 'in', batch).where(isNobodys).execute()
    const rows = await db
      .selectFrom('blobs')
      .select('digest')
      .where('digest', 'in', batch)
      .execute()
    for (const { digest } of rows) left.add(digest)
  }
  return digests.filter((digest) => !left.has(digest))
}

export async function listRemovals(db: Executor, limit: number): Promise<BlobRecord[]> {
  const rows = await db
    .selectFrom('removals')
    .select(['digest', 'size'])
    .orderBy('digest')
    .limit(limit)
    .execute()
  return rows.map(({ digest, size }) => ({ digest: digest as Digest, size }))
}

export async function endRemovals(
  db: Transaction<Schema>,
  digests: readonly Digest[],
): Promise<void> {
  for (const batch of batches(digests)) {
    await db.deleteFrom('removals').where('digest', 'in', batch).execute()
  }
}

export function isNobodys(where: ExpressionBuilder<Schema, 'blobs'>) {
  return where.not(where.or(holders.map((table) => where.exists(holdersOf(where, table)))))
}
