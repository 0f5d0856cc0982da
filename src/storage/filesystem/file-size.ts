/** How large a file is that may not be there. */
import { stat } from 'node:fs/promises'
import { isMissing } from './file-error.ts'

/** In bytes. @returns undefined when there is no such file. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
