/** The digest of bytes that are staged already, for want of one that was computed while they came. */
import { type Digest, type DigestAlgorithm, Digester } from '../oci/digest.ts'
import type { UploadId, UploadStore } from './ports/upload-store.ts'

export async function hashStaged(
  uploads: UploadStore,
  id: UploadId,
  size: number,
  algorithm: DigestAlgorithm,
): Promise<Digest> {
  const digester = new Digester(algorithm)
  await using staged = await uploads.openUpload(id)
  for await (const bytes of staged.read({ start: 0, endInclusive: size - 1 })) {
    digester.update(bytes)
  }
  return digester.digest()
}
