/**
 * Node.js for one platform of the image: the binary of the npm package that the project pins, as the
 * lock file says it must be.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { extract } from 'tar-stream'
import type { ImageFile } from './layer.ts'

const run = promisify(execFile)
const lockFile = resolve(import.meta.dirname, '../../package-lock.json')

export interface Runtime {
  readonly version: string
  readonly files: readonly ImageFile[]
}

interface Lock {
  readonly packages: Record<string, { readonly version: string; readonly integrity: string }>
}

/** @throws Error when what npm brings is not what the lock file pins. */
export async function fetchRuntime(packageName: string): Promise<Runtime> {
  const { packages } = JSON.parse(await readFile(lockFile, 'utf8')) as Lock
  const pinned = packages[`node_modules/${packageName}`]
  if (pinned === undefined) throw new Error(`${packageName} is not in package-lock.json`)
  const { version, integrity } = pinned
  const archive = await download(`${packageName}@${version}`)
  const actual = `sha512-${createHash('sha512').update(archive).digest('base64')}`
  if (actual !== integrity) throw new Error(`${packageName} ${version} is not what is pinned`)
  return { version, files: await readFiles(gunzipSync(archive)) }
}

async function download(specification: string): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'trow-image-npm-'))
  try {
    await run('npm', ['pack', '--silent', '--pack-destination', directory, specification])
    const [file] = await readdir(directory)
    return await readFile(join(directory, file ?? ''))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function readFiles(archive: Buffer): Promise<ImageFile[]> {
  const reader = extract()
  reader.end(archive)
  const files: ImageFile[] = []
  for await (const entry of reader) {
    const bytes = await buffer(entry)
    const { name } = entry.header
    if (name === 'package/bin/node') {
      files.push({ type: 'file', path: 'usr/bin/node', bytes, executable: true })
    } else if (name === 'package/LICENSE') {
      files.push({ type: 'file', path: 'usr/share/doc/nodejs/LICENSE', bytes })
    }
  }
  if (files.length !== 2) throw new Error('the package of Node.js holds no bin/node or no LICENSE')
  return files
}
