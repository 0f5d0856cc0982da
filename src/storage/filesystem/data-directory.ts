/**
 * The data directory as a whole: made or checked at start, owned by one process, of a format this
 * version knows. Whatever is wrong with it is one line that says what to do, and nothing is touched.
 */
import { constants } from 'node:fs'
import { access, mkdir, readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { StartError } from '../../lib/start-error.ts'
import { syncDirectory, writeFileDurably } from '../../lib/durable.ts'
import {
  type DatabaseOptions,
  type PutAside,
  refuseNewDatabase,
  takeDatabase,
} from './database-file.ts'
import { errorCode, isMissing } from './file-error.ts'
import { markComplete } from './incomplete.ts'
import { DataLayout } from './layout.ts'
import { DirectoryLock } from './lock.ts'
import { refuseSplitVolumes } from './split-volumes.ts'

/** Raised when the layout changes; a directory of a higher number is refused. */
const formatVersion = 1

export class DataDirectory implements AsyncDisposable {
  readonly layout: DataLayout
  /** The database file that was put aside. */
  readonly putAside: PutAside | undefined
  readonly #lock: DirectoryLock

  private constructor(layout: DataLayout, lock: DirectoryLock, putAside: PutAside | undefined) {
    this.layout = layout
    this.putAside = putAside
    this.#lock = lock
  }

  /** @throws StartError when the directory cannot be used, by this process, now. */
  static async open(path: string, options: DatabaseOptions = {}): Promise<DataDirectory> {
    const layout = new DataLayout(resolve(path))
    await makeRoot(layout.root)
    await refuseForeignData(layout.root)
    await refuseNewerFormat(layout)
    const lock = await takeLock(layout)
    try {
      const putAside = await takeDatabase(layout, options)
      await makeDirectories(layout)
      await refuseSplitVolumes(layout)
      return new DataDirectory(layout, lock, putAside)
    } catch (cause) {
      await lock[Symbol.asyncDispose]()
      throw await explain(layout.root, cause)
    }
  }

  /** Before the first table of the database is made. @throws StartError when content is there already. */
  async requireNew(): Promise<void> {
    if (this.putAside === undefined) await refuseNewDatabase(this.layout)
  }

  /** Once the database that was put aside has been made anew. */
  async completeDatabase(): Promise<void> {
    await markComplete(this.layout)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock[Symbol.asyncDispose]()
  }
}

async function makeRoot(root: string): Promise<void> {
  try {
    await mkdir(root)
    await syncDirectory(resolve(root, '..'))
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT') throw cannotMake(root, 'the directory above it does not exist')
    if ((code === 'EACCES' || code === 'EPERM') && (await isAbsent(root).catch(() => false))) {
      throw cannotMake(root, `the directory above it is not writable by ${whoami().text}`)
    }
    if (code !== 'EEXIST') throw await explain(root, error)
  }
  try {
    const found = await stat(root)
    if (!found.isDirectory()) throw new StartError(`data directory ${root} is not a directory`)
    await access(root, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    throw await explain(root, error)
  }
}

function cannotMake(root: string, problem: string): StartError {
  return new StartError(
    `data directory ${root} cannot be made: ${problem}; ` +
      `make it with: mkdir -p ${root} && chown ${whoami().chown} ${root}`,
  )
}

/** SQLite tells little of a file that it may not open, so that is looked at first. */
async function takeLock(layout: DataLayout): Promise<DirectoryLock> {
  try {
    for (const file of [layout.lock, layout.owner]) {
      if (!(await isAbsent(file))) await access(file, constants.R_OK | constants.W_OK)
    }
    return await DirectoryLock.acquire(layout)
  } catch (error) {
    throw await explain(layout.root, error)
  }
}

async function makeDirectories(layout: DataLayout): Promise<void> {
  const directories = layout.directories()
  const made = []
  // One after the other: a directory's parent stands before it in the list.
  for (const directory of directories) made.push(await mkdir(directory, { recursive: true }))
  if (made.some((first) => first !== undefined)) {
    for (const parent of new Set(directories.map((child) => dirname(child)))) {
      await syncDirectory(parent)
    }
  }
  await Promise.all(directories.map((directory) => access(directory, constants.W_OK)))
  if (await isAbsent(layout.format)) {
    await writeFileDurably(layout.format, `${JSON.stringify({ format: formatVersion })}\n`)
  }
}

/** Trow up to 0.10 keeps `trow.db` and its own blobs; mixing the two would lose one of them. */
async function refuseForeignData(root: string): Promise<void> {
  if (await isAbsent(resolve(root, 'trow.db'))) return
  throw new StartError(
    `data directory ${root} was written by Trow 0.10 or older (it holds trow.db); nothing was ` +
      'changed: copy its images into a new directory and start with that one: ' +
      `trow import ${root} --data-dir NEW_DIRECTORY`,
  )
}

async function refuseNewerFormat(layout: DataLayout): Promise<void> {
  let text: string
  try {
    text = await readFile(layout.format, 'utf8')
  } catch (error) {
    if (isMissing(error)) return
    throw await explain(layout.root, error)
  }
  const format = parseFormat(text)
  if (format === undefined) {
    throw new StartError(`${layout.format} is damaged: expected {"format": ${formatVersion}}`)
  }
  if (format > formatVersion) {
    throw new StartError(
      `data directory ${layout.root} was written by a newer version of Trow (format ${format}, ` +
        `this version knows up to ${formatVersion}); nothing was changed: run the newer version`,
    )
  }
}

function parseFormat(text: string): number | undefined {
  try {
    const format: unknown = (JSON.parse(text) as { format?: unknown }).format
    return typeof format === 'number' && Number.isInteger(format) ? format : undefined
  } catch {
    return undefined
  }
}

async function isAbsent(path: string): Promise<boolean> {
  try {
    await stat(path)
    return false
  } catch (error) {
    if (isMissing(error)) return true
    throw error
  }
}

/** Turns the system's error into what an operator needs: who runs, who owns, what to type. */
async function explain(root: string, error: unknown): Promise<Error> {
  if (error instanceof StartError || !(error instanceof Error)) return error as Error
  const code = errorCode(error)
  if (code === 'EROFS') {
    return new StartError(
      `data directory ${root} is on a read-only file system: mount the volume writable`,
      { cause: error },
    )
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new StartError(`no space is left for data directory ${root}: free or add some`, {
      cause: error,
    })
  }
  if (code !== 'EACCES' && code !== 'EPERM') {
    return new StartError(`data directory ${root} cannot be used: ${error.message}`, {
      cause: error,
    })
  }
  const me = whoami()
  return new StartError(
    `data directory ${root} is not writable by ${me.text}${await ownerOf(root, error)}: ` +
      `${await runAsOwner(root)}run: chown -R ${me.chown} ${root}`,
    { cause: error },
  )
}

/** Whoever runs a command as themselves is not to take the directory away from Trow's user. */
async function runAsOwner(root: string): Promise<string> {
  const owner = await stat(root).then(
    ({ uid }) => uid,
    () => 0,
  )
  return owner === 0 || owner === process.geteuid?.() ? '' : `run this as uid ${owner}, or `
}

/** Of what the error is about, or the nearest directory above it that can be seen. */
async function ownerOf(root: string, error: NodeJS.ErrnoException): Promise<string> {
  let path = error.path ?? root
  for (;;) {
    try {
      const { uid, gid, mode } = await stat(path)
      const subject = path === root ? 'it' : path
      const octal = (mode & 0o7777).toString(8)
      return `; ${subject} belongs to uid ${uid}, gid ${gid}, mode ${octal}`
    } catch {
      if (path === dirname(path)) return ''
      path = dirname(path)
    }
  }
}

function whoami(): { text: string; chown: string } {
  const uid = process.geteuid?.() ?? 0
  const gid = process.getegid?.() ?? 0
  return { text: `uid ${uid}, gid ${gid}`, chown: `${uid}:${gid}` }
}
