// Opens a data directory as a process of its own: `<directory> [uid]`. Says what came of it as one
// line of JSON, and holds the directory until its standard input ends.

import { once } from 'node:events'
import { DataDirectory } from '../../src/storage/filesystem/data-directory.ts'

const [path = '', uid] = process.argv.slice(2)
if (uid !== undefined) {
  // Only now, after the imports: the checkout may be readable to its owner alone.
  process.setgroups?.([])
  process.setgid?.(Number(uid))
  process.setuid?.(Number(uid))
}
try {
  await using _directory = await DataDirectory.open(path)
  console.log(JSON.stringify({ pid: process.pid }))
  process.stdin.resume()
  await once(process.stdin, 'end')
} catch (error) {
  const { name, message } = error as Error
  console.log(JSON.stringify({ name, message }))
}
