// Which files of a directory this process holds open: the leak check of the storage tests. Deleted
// files count too. Answers nothing where there is no /proc.

import { readdir, readlink } from 'node:fs/promises'

const descriptors = '/proc/self/fd'

export async function openFilesUnder(directory: string): Promise<string[]> {
  const numbers = await readdir(descriptors).catch(() => [])
  // The descriptor of this very listing is gone by the time it is looked at.
  const targets = numbers.map((number) => readlink(`${descriptors}/${number}`).catch(() => ''))
  return (await Promise.all(targets)).filter((target) => target.startsWith(`${directory}/`))
}
