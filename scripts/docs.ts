/** `npm run docs -- DIRECTORY`: makes the documentation as a site of files there (see site/site.ts). */
import { resolve } from 'node:path'
import { makeSite } from './site/site.ts'

const [directory = 'build/docs'] = process.argv.slice(2)
const count = await makeSite(resolve(import.meta.dirname, '..'), resolve(directory))
console.log(`${count} pages are in ${directory}; begin at ${directory}/index.html`)
