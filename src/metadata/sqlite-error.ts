/** SQLite's errors told apart: those that an operator can do something about become OciErrors. */
import { OciError } from '../oci/errors.ts'

const locked = 'the metadata database is locked by another program'
const readOnly = 'the metadata database is on a read-only file system or not writable'
const damaged = 'the metadata database is damaged'
const diskError = 'the metadata database cannot be read or written: the disk reports an error'

/** Primary result codes (sqlite.org/rescode.html). */
const outages: Record<number, string> = {
  3: readOnly,
  5: locked,
  6: locked,
  8: readOnly,
  10: diskError,
  11: damaged,
  14: 'the metadata database or its -wal file cannot be opened: look at its permissions',
  15: locked,
  26: damaged,
}
const sqliteFull = 13
const sqliteBusy = 5
const damages: readonly number[] = [11, 26]

function codeOf(error: unknown): number {
  return Number((error as { errcode?: unknown }).errcode) & 0xff
}

/** Another connection has the lock: it may be given back at any moment. */
export function isBusy(error: unknown): boolean {
  return codeOf(error) === sqliteBusy
}

/** The file is not what it was: what this connection remembers of it is worth nothing. */
export function isDamage(error: unknown): boolean {
  return damages.includes(codeOf(error)) || isSchemaLost(error)
}

/** Another database was written over ours. */
function isSchemaLost(error: unknown): boolean {
  return error instanceof Error && /^no such (?:table|column): /.test(error.message)
}

/** What to throw in place of `cause`. */
export function translated(cause: unknown): unknown {
  const code = codeOf(cause)
  if (code === sqliteFull) {
    return new OciError('STORAGE_FULL', { headers: { 'Retry-After': '60' }, cause })
  }
  const message = isSchemaLost(cause) ? damaged : outages[code]
  return message === undefined ? cause : unavailable(message, cause)
}

export function unavailable(message: string, cause?: unknown): OciError {
  return new OciError('UNAVAILABLE', { message, headers: { 'Retry-After': '10' }, cause })
}

/** Of a log that could not be synced; the error may be the kernel's or ours. */
export function unsynced(cause: unknown): unknown {
  if (cause instanceof OciError) return cause
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new OciError('STORAGE_FULL', { headers: { 'Retry-After': '60' }, cause })
  }
  return unavailable(diskError, cause)
}
