/** `npm run package -- DIRECTORY`: makes the npm package there (see release/package.ts). */
import { resolve } from 'node:path'
import { makePackage } from './release/package.ts'

const [directory] = process.argv.slice(2)
if (directory === undefined) {
  console.error('usage: npm run package -- DIRECTORY')
  process.exit(2)
}
await makePackage(resolve(directory))
console.log(`the package is in ${directory}`)
