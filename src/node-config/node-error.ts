/** What a node's file system refuses, as one line for whoever configures the node. */
import { StartError } from '../lib/start-error.ts'

const uid = process.getuid?.() ?? 'this user'
const forbidden = `user id ${uid} may not do that; it has to own the file (root, mostly), or to have root's capabilities`

const reasons: Readonly<Record<string, string>> = {
  EACCES: forbidden,
  EPERM: forbidden,
  EROFS: 'its file system is read-only; a container has to have this directory of the node mounted',
  ENOSPC: 'there is no space left',
  EDQUOT: 'there is no space left',
  ENOTDIR: 'a part of this path is no directory',
  EISDIR: 'it is a directory',
  EBUSY: 'it is mounted there, so it cannot be replaced',
}

/** @throws StartError in place of an error of the file system. */
export async function explainFileErrors<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code, path, message } = error as NodeJS.ErrnoException
    if (code === undefined || path === undefined) throw error
    throw new StartError(`${path}: ${reasons[code] ?? message}`, { cause: error })
  }
}
