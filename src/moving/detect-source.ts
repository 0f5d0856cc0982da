/** Finds out what a path holds that images can be taken from. */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, open, rm, stat, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { limits } from '../config/limits.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { type ContentSource, MoveError } from './content-source.ts'
import { DistributionTree } from './distribution-tree.ts'
import { DockerArchive } from './docker-archive.ts'
import { DirectoryTree, type FileTree } from './file-tree.ts'
import { LayoutRoot, listLayouts } from './layout-root.ts'
import { OciLayout } from './oci-layout.ts'
import { TarTree } from './tar-tree.ts'
import { TrowDirectory } from './trow-directory.ts'

/**
 * @param repository where the images of a layout or an archive go.
 * @throws MoveError when nothing can be made of it.
 */
export async function openSource(
  path: string,
  repository: RepositoryName | undefined,
  signal: AbortSignal,
): Promise<ContentSource> {
  const found = await stat(path).catch((error: Error) => {
    throw new MoveError(`${path} cannot be read: ${error.message}`)
  })
  if (found.isFile()) return await openArchive(path, repository, signal)
  if (!found.isDirectory()) throw new MoveError(`${path} is neither a directory nor a file`)
  const layout = await findLayout(new DirectoryTree(path), repository)
  if (layout !== undefined) return layout
  const source = await findTree(path)
  if (source === undefined) {
    throw new MoveError(
      `${path} is no source of images: it has no trow.db (Trow 0.10), docker/registry/v2 ` +
        '(distribution), oci-layout (OCI image layout) or such layouts below it (zot)',
    )
  }
  if (repository === undefined) return source
  await source[Symbol.asyncDispose]()
  throw new MoveError(
    `${path} is ${source.description}, whose repositories have names: leave out --repository`,
  )
}

async function findTree(path: string): Promise<ContentSource | undefined> {
  if ((await new DirectoryTree(path).sizeOf('trow.db')) !== undefined) {
    return await TrowDirectory.open(path)
  }
  for (const inner of ['docker/registry/v2', 'registry/v2', 'v2', '']) {
    const isThere = await stat(join(path, inner, 'repositories')).catch(() => undefined)
    if (isThere?.isDirectory()) return new DistributionTree(join(path, inner))
  }
  for await (const _ of listLayouts(path)) return new LayoutRoot(path)
  return undefined
}

/** The layout first: an archive of docker 25 on is both. */
async function findLayout(
  files: FileTree,
  repository: RepositoryName | undefined,
): Promise<ContentSource | undefined> {
  const hasFiles = async (...paths: string[]): Promise<boolean> => {
    const sizes = await Promise.all(paths.map((path) => files.sizeOf(path)))
    return sizes.every((size) => size !== undefined)
  }
  if (await hasFiles('oci-layout', 'index.json')) return new OciLayout(files, repository)
  if (await hasFiles('manifest.json')) return new DockerArchive(files, repository)
  return undefined
}

async function openArchive(
  path: string,
  repository: RepositoryName | undefined,
  signal: AbortSignal,
): Promise<ContentSource> {
  const files = (await isGzip(path)) ? await unpacked(path, signal) : await TarTree.open(path)
  const source = await findLayout(files, repository)
  if (source !== undefined) return source
  await files[Symbol.asyncDispose]()
  throw new MoveError(
    `${path} is an archive, but not of images: no index.json or manifest.json in it`,
  )
}

async function isGzip(path: string): Promise<boolean> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0)
  return bytesRead === 2 && buffer.readUInt16BE() === 0x1f8b
}

/** Its files must be found by where they are, so it is unpacked beside other temporary files. */
async function unpacked(path: string, signal: AbortSignal): Promise<FileTree> {
  const directory = await mkdtemp(join(tmpdir(), 'trow-import-')).catch((error: Error) => {
    const advice = 'set TMPDIR to a directory that may be written, such as the data directory'
    throw new MoveError(`${path} cannot be unpacked: ${error.message}: ${advice}`)
  })
  const remove = async (): Promise<void> => await rm(directory, { recursive: true, force: true })
  const target = join(directory, 'archive.tar')
  try {
    const bounded = boundedBy(await roomIn(directory))
    const [packed, output] = [createReadStream(path), createWriteStream(target)]
    await pipeline(packed, createGunzip(), bounded, output, { signal })
    const tree = await TarTree.open(target)
    // Open, it is there until it is closed.
    await remove()
    return tree
  } catch (error) {
    await remove()
    signal.throwIfAborted()
    if (error instanceof MoveError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new MoveError(`${path} cannot be unpacked into ${tmpdir()}: ${reason}`)
  }
}

/** Bytes that others do not miss. */
async function roomIn(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  const spared = (bavail * bsize) / 10
  return Math.min(limits.archiveUnpackedBytesMax, bavail * bsize - spared)
}

function boundedBy(bytesMax: number) {
  return async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    let size = 0
    for await (const chunk of chunks) {
      size += chunk.length
      if (size > bytesMax) {
        throw new Error(
          `it has more than the ${Math.floor(bytesMax)} bytes that may be taken there: unpack it with ` +
            'gunzip where there is room, which shows what it is, and import that',
        )
      }
      yield chunk
    }
  }
}
