/**
 * `npm run image -- DIRECTORY`: makes the container image as an OCI layout (see release/image.ts), on a
 * Debian machine, for `skopeo copy --all oci:DIRECTORY docker://REGISTRY/REPOSITORY:TAG` to push.
 */
import { mkdir, readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { updatePins } from './release/debian.ts'
import { makeImage, type Platform, platforms } from './release/image.ts'

const usage = `usage: npm run image -- [--platform ${platforms.join('|')}]... DIRECTORY
       npm run image -- --update-packages`

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}

function parsePlatform(text: string): Platform {
  return platforms.find((platform) => platform === text) ?? fail(usage)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    platform: { type: 'string', multiple: true, default: [...platforms] },
    'update-packages': { type: 'boolean', default: false },
  },
})
if (values['update-packages']) {
  await updatePins(platforms.map((platform) => platform.replace('linux/', '')))
  process.exit()
}
const [target] = positionals
if (target === undefined || positionals.length > 1) fail(usage)
const directory = resolve(target)
await mkdir(directory, { recursive: true })
if ((await readdir(directory)).length > 0) fail(`${directory} is not empty`)
const { digest, version, sizes } = await makeImage(directory, values.platform.map(parsePlatform))
for (const [platform, bytes] of sizes) {
  console.log(`${platform}: ${(bytes / 1024 / 1024).toFixed(1)} MiB compressed`)
}
console.log(`trow ${version} ${digest}`)
