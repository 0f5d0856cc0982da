/** Telling the file system's errors apart, and telling clients of those that are no bug. */
import { OciError } from '../../oci/errors.ts'

export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}

export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT'
}

const outages: Record<string, string> = {
  EROFS: 'the registry cannot write: its file system is read-only',
  EACCES: 'the registry cannot write: its data directory lacks the permission',
  EPERM: 'the registry cannot write: its data directory lacks the permission',
  EIO: 'the registry cannot read or write: its disk reports an error',
  ESTALE: 'the registry cannot read or write: its network file system was replaced',
  EMFILE: 'the registry has too many open files',
  ENFILE: 'the registry has too many open files',
}

/** What to throw in place of `error`, for a client that can only wait or call the operator. */
export function translated(error: unknown): unknown {
  const code = errorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new OciError('STORAGE_FULL', { cause: error, headers: { 'Retry-After': '60' } })
  }
  const message = code === undefined ? undefined : outages[code]
  if (message === undefined) return error
  return new OciError('UNAVAILABLE', { message, cause: error, headers: { 'Retry-After': '10' } })
}
