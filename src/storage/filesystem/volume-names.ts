/** What somebody put into a directory, which may be a whole volume: file systems keep a directory of their own there. */
import { readdir } from 'node:fs/promises'

/** Of ext4, which belongs to root and is there from the beginning. */
const keptByFileSystem = 'lost+found'

export async function listVolumeNames(path: string): Promise<string[]> {
  return (await readdir(path)).filter((name) => name !== keptByFileSystem)
}
