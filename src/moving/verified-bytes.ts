/**
 * Bytes that are checked while they pass: the last of them are held back until size and digest are
 * what they should be, so nobody ever has all bytes of something damaged.
 */
import type { Descriptor } from '../oci/descriptor.ts'
import { digestAlgorithm, Digester } from '../oci/digest.ts'
import { MoveError } from './content-source.ts'

/** @throws MoveError */
export async function* verifiedBytes(
  chunks: AsyncIterable<Uint8Array>,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  onBytes: (bytes: number) => void = () => undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digester = new Digester(digestAlgorithm(digest))
  let held: Uint8Array | undefined
  for await (const chunk of chunks) {
    digester.update(chunk)
    if (digester.size > size) {
      throw new MoveError(`${digest} is damaged: it has more than its ${size} bytes`)
    }
    if (held !== undefined) yield held
    held = chunk
    onBytes(chunk.length)
  }
  if (digester.size < size) {
    throw new MoveError(`${digest} is damaged: it has ${digester.size} of its ${size} bytes`)
  }
  const actual = digester.digest()
  if (actual !== digest)
    throw new MoveError(`${digest} is damaged: its bytes are those of ${actual}`)
  if (held !== undefined) yield held
}
