// Which files and sockets another process holds open, by what their descriptors point at. Linux only.

import { readdir, readlink } from 'node:fs/promises'

export async function openDescriptors(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`
  const numbers = await readdir(directory)
  return Promise.all(numbers.map((number) => readlink(`${directory}/${number}`).catch(() => '')))
}
