// A file system of its own, small enough to be filled. It takes the right to mount; a test without it
// is skipped and says so.

import { execFileSync } from 'node:child_process'
import { closeSync, openSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** @returns undefined when the test is to be skipped. */
export async function mountSmallDisk(
  t: TestContext,
  options: string,
): Promise<SmallDisk | undefined> {
  const path = await mkdtemp(join(tmpdir(), 'trow-disk-'))
  if (mount(t, ['-t', 'tmpfs', '-o', options, 'tmpfs', path])) return new SmallDisk(path)
  rmSync(path, { recursive: true })
  return undefined
}

/** Turns a directory read-only for all that is opened from now on, until it is disposed of. */
export function mountReadOnly(t: TestContext, directory: string): Disposable | undefined {
  if (!mount(t, ['--bind', '-o', 'ro', directory, directory])) return undefined
  return { [Symbol.dispose]: () => unmount(directory) }
}

function mount(t: TestContext, args: readonly string[]): boolean {
  try {
    execFileSync('mount', args, { stdio: 'pipe' })
    return true
  } catch {
    t.skip('file systems cannot be mounted here')
    return false
  }
}

function unmount(path: string): void {
  // Lazily: a process may still have files open there.
  execFileSync('umount', ['--lazy', path])
}

export class SmallDisk implements Disposable {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path)
    return bavail * bsize
  }

  /** Takes all that is left, to the last byte. */
  fill(): void {
    const file = openSync(join(this.path, 'filler'), 'w')
    for (const size of [1 << 20, 1 << 12, 1]) {
      const bytes = Buffer.alloc(size)
      try {
        for (;;) if (writeSync(file, bytes) === 0) break
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
    }
    closeSync(file)
  }

  /** Makes files until there may be no more. */
  fillWithFiles(): void {
    try {
      for (let number = 0; ; number += 1) writeFileSync(join(this.path, `filler-${number}`), '')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }

  /** Gives back what `fill` and `fillWithFiles` took. */
  free(): void {
    execFileSync('find', [this.path, '-maxdepth', '1', '-name', 'filler*', '-delete'])
  }

  [Symbol.dispose](): void {
    unmount(this.path)
    rmSync(this.path, { recursive: true, force: true })
  }
}
