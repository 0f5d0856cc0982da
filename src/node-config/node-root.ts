/**
 * The file system of a node, which may be mounted below a directory (`/host`). A symbolic link on the
 * node leads to where it leads on the node, never out of that directory.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'

export class NodeRoot {
  readonly directory: string

  constructor(directory: string) {
    this.directory = resolve(directory)
  }

  /**
   * Where a path of the node is for this process. What does not exist is taken for what it will be.
   * @param last whether the last part, too, is followed if it is a link.
   */
  async locate(path: string, last: 'followed' | 'kept' = 'kept'): Promise<string> {
    let reached = '/'
    let links = 0
    const pending = partsOf(path)
    for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
      const candidate = part === '..' ? dirname(reached) : join(reached, part)
      const isLast = pending.length === 0
      const target = isLast && last === 'kept' ? undefined : await this.#findTarget(candidate)
      if (target === undefined) {
        reached = candidate
        continue
      }
      if (++links > limits.nodeLinksMax) throw new StartError(`${path} has too many links`)
      pending.unshift(...partsOf(target))
      if (target.startsWith('/')) reached = '/'
    }
    return join(this.directory, reached)
  }

  /** The other way round: what the node calls a place of this process. */
  pathOf(place: string): string {
    return join('/', relative(this.directory, place))
  }

  async findText(path: string): Promise<string | undefined> {
    try {
      return await readFile(await this.locate(path, 'followed'), 'utf8')
    } catch (error) {
      if (isAbsence(error)) return undefined
      throw error
    }
  }

  /** The names in a directory, in order; none where there is no such directory. */
  async listNames(path: string): Promise<string[]> {
    try {
      return (await readdir(await this.locate(path, 'followed'))).sort()
    } catch (error) {
      if (isAbsence(error)) return []
      throw error
    }
  }

  async has(path: string): Promise<boolean> {
    const names = await this.listNames(dirname(path))
    return names.includes(path.slice(path.lastIndexOf('/') + 1))
  }

  async #findTarget(path: string): Promise<string | undefined> {
    try {
      return await readlink(join(this.directory, path))
    } catch {
      // No link, or nothing there: what is wrong with it comes out when it is read.
      return undefined
    }
  }
}

export function isAbsence(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}
