// A directory of a test's own with files in it, removed when the test is over.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'

/** @param files contents by name; a name may hold directories */
export async function directoryWith(
  t: TestContext,
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'trow-test-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true })
    await writeFile(join(directory, name), content)
  }
  return directory
}
