/** Telling the file system's errors apart, and telling clients of those that are no bug. */
import { OciError } from '../../oci/errors.ts'

export function errorCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}

export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT'
}

const permission = 'the registry cannot write: its data directory lacks the permission'
const missing = 'the registry cannot write: a directory of its data directory is missing'
const disk = 'the registry cannot read or write: its disk reports an error'
const network = 'the registry cannot read or write: its network file system does not answer'
const files = 'the registry has too many open files'

const outages: Record<string, string> = {
  EROFS: 'the registry cannot write: its file system is read-only',
  EACCES: permission,
  EPERM: permission,
  ENOENT: missing,
  ENOTDIR: missing,
  EXDEV: 'the registry cannot write: uploads/ and blobs/ are not on one volume',
  EIO: disk,
  ESTALE: 'the registry cannot read or write: its network file system was replaced',
  ENOTCONN: network,
  ETIMEDOUT: network,
  EMFILE: files,
  ENFILE: files,
}

/** What to throw in place of `error`, for a client that can only wait or call the operator. */
export function translated(error: unknown): unknown {
  const code = errorCode(error)
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    return new OciError('STORAGE_FULL', { cause: error, headers: { 'Retry-After': '60' } })
  }
  const message = code === undefined ? undefined : (outages[code] ?? otherOutage(code, error))
  if (message === undefined) return error
  return new OciError('UNAVAILABLE', { message, cause: error, headers: { 'Retry-After': '10' } })
}

/** Whatever a system call says is the system's; the rest is a defect of ours. */
function otherOutage(code: string, error: unknown): string | undefined {
  const isSystem = typeof (error as NodeJS.ErrnoException).syscall === 'string'
  return isSystem ? `the registry cannot read or write its data directory: ${code}` : undefined
}
