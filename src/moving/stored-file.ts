/** A blob as a file: whether it can be that blob at all, before any of it is sent. */
import type { Descriptor } from '../oci/descriptor.ts'
import { MoveError } from './content-source.ts'
import type { FileTree } from './file-tree.ts'

/** @throws MoveError when it is not there, or of another size. */
export async function checkFile(
  files: FileTree,
  path: string,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
): Promise<void> {
  const found = await files.sizeOf(path)
  if (found === undefined) throw new MoveError(`${digest} is missing`)
  if (found !== size)
    throw new MoveError(`${digest} is damaged: it has ${found} of its ${size} bytes`)
}
