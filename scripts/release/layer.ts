/**
 * A layer of the container image: a tar archive of entries in a fixed order, without times or owners of
 * the machine it is made on, so that the same content always has the same digest.
 */
import { posix } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { pack } from 'tar-stream'

/** A file of an image, under its absolute path without the first slash. */
export type ImageFile =
  | { readonly type: 'directory'; readonly path: string; readonly owner?: number }
  | { readonly type: 'link'; readonly path: string; readonly target: string }
  | {
      readonly type: 'file'
      readonly path: string
      readonly bytes: Uint8Array
      readonly executable?: boolean
    }

export interface Layer {
  /** The archive as it is, from which `diff_ids` of an image come. */
  readonly archive: Buffer
  /** What a registry keeps. */
  readonly compressed: Buffer
}

/** Directories that lead to the files are added. */
export async function makeLayer(files: readonly ImageFile[]): Promise<Layer> {
  const all = new Map<string, ImageFile>()
  for (const file of files) {
    for (const parent of parentsOf(file.path)) {
      if (!all.has(parent)) all.set(parent, { type: 'directory', path: parent })
    }
    all.set(file.path, file)
  }
  const packer = pack()
  const archive = buffer(packer)
  const paths = [...all.keys()].toSorted()
  for (const path of paths) addEntry(packer, all.get(path) as ImageFile)
  packer.finalize()
  const bytes = await archive
  return { archive: bytes, compressed: await promisify(gzip)(bytes) }
}

function addEntry(packer: ReturnType<typeof pack>, file: ImageFile): void {
  const common = { name: file.path, mtime: new Date(0), uid: 0, gid: 0 }
  if (file.type === 'directory') {
    const owner = file.owner ?? 0
    // The field of a tar header that tar-stream writes ends at 262143.
    const pax = { uid: String(owner), gid: String(owner) }
    packer.entry({ ...common, type: 'directory', mode: 0o755, ...(owner > 0 && { pax }) })
  } else if (file.type === 'link') {
    packer.entry({ ...common, type: 'symlink', linkname: file.target, mode: 0o777 })
  } else {
    const header = { ...common, size: file.bytes.length, mode: file.executable ? 0o755 : 0o644 }
    packer.entry(header, Buffer.from(file.bytes))
  }
}

function* parentsOf(path: string): Generator<string> {
  const parent = posix.dirname(path)
  if (parent === '.') return
  yield* parentsOf(parent)
  yield parent
}
