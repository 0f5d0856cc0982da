/** Places in tables whose key has two columns, to go on from. */
import { type ExpressionBuilder, sql } from 'kysely'
import type { Schema } from '../schema.ts'

/** The key of a row with two columns, as a place to go on from. */
export interface RowKey {
  readonly repositoryId: number
  readonly digest: string
}

type KeyedTable = 'repository_blobs' | 'manifests'

export function isAfter<T extends keyof Schema>(
  _where: ExpressionBuilder<Schema, T>,
  table: KeyedTable,
  { repositoryId, digest }: RowKey,
) {
  return sql<boolean>`(${sql.ref(`${table}.repository_id`)}, ${sql.ref(`${table}.digest`)}) > (${repositoryId}, ${digest})`
}

export function isUpTo<T extends keyof Schema>(
  _where: ExpressionBuilder<Schema, T>,
  table: KeyedTable,
  { repositoryId, digest }: RowKey,
) {
  return sql<boolean>`(${sql.ref(`${table}.repository_id`)}, ${sql.ref(`${table}.digest`)}) <= (${repositoryId}, ${digest})`
}

/** No digest holds a space. */
export function formatKey({ repositoryId, digest }: RowKey): string {
  return `${repositoryId} ${digest}`
}

export function parseKey(text: string): RowKey {
  const [id, digest = ''] = text.split(' ')
  return { repositoryId: Number(id), digest }
}
