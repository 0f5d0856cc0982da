/** Which images `trow warm` is to fetch: those on the command line and those of lists, each once. */
import { FileReader } from '../config/file-reader.ts'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { OciError } from '../oci/errors.ts'
import {
  formatImageReference,
  type ImageReference,
  parseImageReference,
} from '../oci/image-reference.ts'
import { parseImageList } from './image-list.ts'
import type { Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'
import type { WarmResult } from './warm-image.ts'

interface Sources {
  readonly file?: readonly string[]
  readonly passwordStdin?: boolean
}

export interface Images {
  readonly images: readonly ImageReference[]
  /** Names that are none: a cluster may have pods that ask for them. */
  readonly invalid: readonly WarmResult[]
}

const standardInput = '-'

/** @throws StartError when there are none, of exit code 2 when none were asked for. */
export async function readImages(
  references: readonly string[],
  { file: files = [], passwordStdin }: Sources,
  terminal: Terminal,
): Promise<Images> {
  if (references.length === 0 && files.length === 0) {
    throw usageError('name the images, or a list of them: -f FILE, or - for standard input')
  }
  const lists = [...files, ...references.filter((text) => text === standardInput)]
  if (passwordStdin && lists.includes(standardInput)) {
    throw usageError('standard input cannot be both the password and a list of images')
  }
  const names = references.filter((text) => text !== standardInput)
  for (const path of new Set(lists)) names.push(...(await readList(path, terminal)))
  return parseImages(names)
}

async function readList(path: string, terminal: Terminal): Promise<string[]> {
  const text = path === standardInput ? await readInput(terminal) : await readFile(path)
  const names = parseImageList(text)
  if (names.length > 0) return names
  const where = path === standardInput ? 'standard input' : `the file ${path}`
  throw new StartError(`${where} names no image`)
}

async function readInput(terminal: Terminal): Promise<string> {
  const bytes = await terminal.readInput(limits.warmInputBytesMax)
  if (bytes.length <= limits.warmInputBytesMax) return bytes.toString()
  throw new StartError(`standard input has more than ${limits.warmInputBytesMax} bytes`)
}

async function readFile(path: string): Promise<string> {
  const read = await new FileReader().read(path, limits.warmInputBytesMax)
  if ('problem' in read) throw new StartError(`the file ${path} ${read.problem}`)
  return read.text
}

/** Two names of one image are one image. */
function parseImages(names: readonly string[]): Images {
  const images = new Map<string, ImageReference>()
  const invalid: WarmResult[] = []
  for (const name of new Set(names)) {
    try {
      const image = parseImageReference(name)
      images.set(formatImageReference(image), image)
    } catch (error) {
      if (!(error instanceof OciError)) throw error
      invalid.push({ image: name, status: 'failed', message: error.message })
    }
  }
  if (images.size === 0 && invalid[0] !== undefined) throw usageError(String(invalid[0].message))
  if (images.size <= limits.warmImagesMax) return { images: [...images.values()], invalid }
  throw new StartError(`${images.size} images are too many: at most ${limits.warmImagesMax}`)
}
