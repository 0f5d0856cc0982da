// A real image for the tests: a Debian root file system for linux/amd64 and linux/arm64, made by
// mmdebstrap from Debian's own packages and kept as an OCI image layout in the test cache. Without
// mmdebstrap or Debian's packages it is a synthetic image of the same shape instead.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import {
  assembleImage,
  imageFixture,
  sha256Digest,
  storedLayer,
  type ImageFixture,
  type Layer,
  type PlatformImage,
} from './image-fixture.ts'
import { findTool, testCacheDirectory } from './tools.ts'

const execute = promisify(execFile)
const compress = promisify(gzip)

/** Raise it whenever the content changes, so that no machine keeps an older image. */
const imageVersion = 1
const imagePrefix = 'image-'
const ref = 'debian'

const platforms = ['linux/amd64', 'linux/arm64'] as const
const packages = ['base-files', 'base-passwd', 'bash', 'coreutils', 'dash', 'findutils', 'grep']
const downloadTimeoutMs = 5 * 60 * 1000
const layerBytesMax = 256 * 1024 * 1024

export interface ImageLayout {
  readonly directory: string
  /** The index's reference name, `debian`. */
  readonly ref: string
  /** Whether it holds Debian's files (or, without Debian's tools, made-up ones). */
  readonly real: boolean
  /** The image index's digest. */
  readonly digest: string
}

let layout: Promise<ImageLayout> | undefined

/** The layout's directory; made on first use, then found in the cache by every later run. */
export function realImageLayout(): Promise<ImageLayout> {
  layout ??= findOrMakeLayout()
  return layout
}

async function findOrMakeLayout(): Promise<ImageLayout> {
  const mmdebstrap = findTool('mmdebstrap')
  if (mmdebstrap !== undefined) {
    try {
      return await cachedLayout('debian', (temporary) => debianImage(mmdebstrap, temporary))
    } catch (error) {
      if (process.env['TROW_REQUIRE_CLIENTS'] === '1') throw error
      console.error('no Debian image, so a synthetic one:', error)
    }
  } else if (process.env['TROW_REQUIRE_CLIENTS'] === '1') {
    throw new Error('mmdebstrap not found; install with: apt-get install mmdebstrap')
  }
  return cachedLayout('synthetic', async () =>
    imageFixture({ layers: 3, layerBytes: 4 * 1024 * 1024, platforms: [...platforms] }),
  )
}

async function cachedLayout(
  kind: 'debian' | 'synthetic',
  make: (temporary: string) => Promise<ImageFixture>,
): Promise<ImageLayout> {
  const root = testCacheDirectory()
  const directory = join(root, `${imagePrefix}${imageVersion}-${kind}`)
  if (!existsSync(directory)) {
    await mkdir(root, { recursive: true })
    const temporary = await mkdtemp(join(root, 'building-'))
    try {
      const complete = join(temporary, 'layout')
      await writeLayout(complete, await make(temporary), ref)
      await publish(complete, directory)
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
    await removeOlderVersions(root)
  }
  const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8'))
  return { directory, ref, real: kind === 'debian', digest: index.manifests[0].digest }
}

/** Publishes with one rename; another process may have been faster. */
async function publish(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (!existsSync(to)) throw error
  }
}

async function removeOlderVersions(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const isOlder =
      name.startsWith(imagePrefix) && !name.startsWith(`${imagePrefix}${imageVersion}-`)
    if (isOlder) await rm(join(root, name), { recursive: true, force: true })
  }
}

/** Writes an image as an OCI image layout under one reference name. */
export async function writeLayout(
  directory: string,
  image: ImageFixture,
  refName: string,
): Promise<void> {
  const blobs = join(directory, 'blobs', 'sha256')
  await mkdir(blobs, { recursive: true })
  for (const { digest, bytes } of [...image.blobs, ...image.manifests]) {
    await writeFile(join(blobs, digest.replace('sha256:', '')), bytes)
  }
  const annotations = { 'org.opencontainers.image.ref.name': refName }
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [{ ...image.root, annotations }],
  }
  await writeFile(join(directory, 'index.json'), JSON.stringify(index))
  await writeFile(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
}

async function debianImage(mmdebstrap: string, temporary: string): Promise<ImageFixture> {
  const suite = await debianSuite()
  const images: PlatformImage[] = []
  for (const platform of platforms) {
    const root = join(temporary, platform.replace('/', '-'))
    await extractDebian(mmdebstrap, suite, platform.replace('linux/', ''), root)
    const label = Buffer.from(`Debian ${suite}, ${platform}, made for tests.\n`)
    images.push({
      platform,
      layers: [
        await directoryLayer(root, ['--exclude=./usr/share', '.']),
        await directoryLayer(root, ['./usr/share']),
        storedLayer([{ name: 'etc/' }, { name: 'etc/trow-test-image', content: label }]),
      ],
    })
    await rm(root, { recursive: true, force: true })
  }
  return assembleImage(images)
}

/** This machine's own Debian release, as its keys are the ones that are installed. */
async function debianSuite(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const isDebian = /^ID=debian$/m.test(release)
  return (isDebian && /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1]) || 'stable'
}

/** Unpacks the packages and what they depend on, for any architecture; runs nothing of theirs. */
async function extractDebian(
  mmdebstrap: string,
  suite: string,
  architecture: string,
  root: string,
): Promise<void> {
  const archive = `${root}.tar`
  const what = [`--architectures=${architecture}`, `--include=${packages.join(',')}`]
  const options = ['--variant=extract', '--format=tar', '--quiet', ...what]
  await execute(mmdebstrap, [...options, suite, archive], { timeout: downloadTimeoutMs })
  await mkdir(root)
  const leftOut = ['./dev/*', './var/cache/apt', './var/lib/apt', './var/log/*']
  const excludes = leftOut.map((pattern) => `--exclude=${pattern}`)
  await execute('tar', ['-xf', archive, '-C', root, '--no-same-owner', ...excludes])
  await rm(archive)
}

/** One gzip layer of a tree: names sorted, owned by root, without times of this machine. */
async function directoryLayer(root: string, members: readonly string[]): Promise<Layer> {
  const ownership = ['--owner=0', '--group=0', '--numeric-owner', '--mtime=@0', '--sort=name']
  const { stdout: archive } = await execute(
    'tar',
    ['-C', root, '-cf', '-', '--format=gnu', ...ownership, ...members],
    { encoding: 'buffer', maxBuffer: layerBytesMax },
  )
  return { bytes: await compress(archive), diffId: sha256Digest(archive) }
}
