/**
 * The key that signs tokens: 32 random bytes in `token.key` of the data directory, for its owner
 * only. It is made once, whole and durable before it has its name, so that tokens survive a restart
 * and processes that start at the same time agree on one key.
 */
import { randomBytes } from 'node:crypto'
import { chmod, link, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '../lib/start-error.ts'

export const signingKeyFile = 'token.key'
const keyBytes = 32
const ownerOnly = 0o600
const forGroup = 0o070
const forOthers = 0o007

export interface SigningKey {
  readonly key: Uint8Array
  /** What the operator should be told. */
  readonly warnings: readonly string[]
}

/** @throws StartError, which says what to do. */
export async function loadSigningKey(dataDirectory: string): Promise<SigningKey> {
  const path = join(dataDirectory, signingKeyFile)
  try {
    const existing = await readIfPresent(path)
    if (existing === undefined) await createKey(dataDirectory, path)
    const key = existing ?? (await readFile(path))
    if (key.length !== keyBytes) throw notAKey(path, key.length)
    return { key, warnings: await restrict(path) }
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(
      `cannot use the token signing key ${path}: ${(error as Error).message}; ` +
        'the file must be readable, and its directory writable, by the user that runs trow',
      { cause: error },
    )
  }
}

async function readIfPresent(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

async function createKey(directory: string, path: string): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`
  try {
    await writeDurably(temporary, randomBytes(keyBytes))
    await publish(temporary, path)
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
  await syncDirectory(directory)
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', ownerOnly)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A link, unlike a rename, fails when another process was first; its key is then the one. */
async function publish(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return
    // File systems without hard links (SMB shares); there the data directory's lock must do.
    if (!hasCode(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error
    await rename(temporary, path)
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/**
 * Takes the rights of others away. Those of the group are no news: Kubernetes gives them to a
 * volume's `fsGroup` on every mount.
 */
async function restrict(path: string): Promise<string[]> {
  const { mode } = await stat(path)
  if ((mode & (forGroup | forOthers)) === 0) return []
  const changed = await chmod(path, ownerOnly).then(
    () => true,
    () => false,
  )
  const wasOpen = (mode & forOthers) !== 0
  if (!changed) {
    return [
      `others may use the token signing key ${path}; take their rights away: chmod 600 ${path}`,
    ]
  }
  return wasOpen ? [openedWarning(path)] : []
}

function openedWarning(path: string): string {
  return (
    `the token signing key ${path} was open to every user of this machine and has been set to ` +
    'mode 0600; if one of them is not to be trusted, delete the file and restart for a new key'
  )
}

function notAKey(path: string, length: number): StartError {
  return new StartError(
    `${path} is not a token signing key: it has ${length} bytes instead of ${keyBytes}; restore it ` +
      'from a backup, or delete it: a new one is made, and clients get new tokens with their login',
  )
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? '')
}
