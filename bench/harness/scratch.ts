// The directory that a run works in: on the disk that is measured, removed at the end, and by the
// next run when this one was killed.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, existsSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

const prefix = 'trow-bench-'

export class Scratch implements Disposable {
  readonly path: string
  #count = 0

  /** @param parent defaults of callers: the system's directory for temporary files. */
  constructor(parent: string) {
    removeAbandoned(parent)
    this.path = mkdtempSync(join(parent, `${prefix}${process.pid}-`))
    process.once('exit', () => this[Symbol.dispose]())
  }

  /** A new directory of its own. */
  directory(name: string): string {
    this.#count += 1
    const path = join(this.path, `${this.#count}-${name.replaceAll(/[^a-z0-9]+/gi, '-')}`)
    mkdirSync(path)
    return path
  }

  /** `ext4`: what is synced to a tmpfs says nothing about disks. */
  get fileSystem(): string {
    const args = ['--file-system', '--format=%T', this.path]
    return execFileSync('stat', args, { encoding: 'utf8' }).trim().replace('ext2/ext3', 'ext4')
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) {
      rmSync(join(parent, name), { recursive: true, force: true })
    }
  }
}
