// Makes the image that the tests push and pull ahead of time (see `test/support/real-image.ts`),
// says what kind it is and how large, and prints its OCI layout directory as stdout's last line.

import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { realImageLayout } from '../test/support/real-image.ts'

const { directory, real, digest } = await realImageLayout()
const blobs = join(directory, 'blobs', 'sha256')
let bytes = 0
for (const name of await readdir(blobs)) bytes += (await stat(join(blobs, name))).size
const kind = real ? 'a Debian image' : 'a synthetic image'
console.error(`${kind} of ${(bytes / 1e6).toFixed(1)} MB, ${digest}`)
console.log(directory)
