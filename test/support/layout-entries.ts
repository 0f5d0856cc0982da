// An image as the files of an OCI image layout, to be archived or written.

import type { ImageFixture, TarEntry } from './image-fixture.ts'

/** @param named whether the layout says that it is `team/app:v1`. */
export function layoutEntries(image: ImageFixture, named = true): TarEntry[] {
  const annotations = { 'org.opencontainers.image.ref.name': 'quay.io/team/app:v1' }
  const manifests = [{ ...image.root, ...(named && { annotations }) }]
  const contents = [...image.blobs, ...image.manifests]
  return [
    { name: 'oci-layout', content: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    { name: 'index.json', content: Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })) },
    ...contents.map(({ digest, bytes }) => ({
      name: `blobs/sha256/${digest.slice(7)}`,
      content: bytes,
    })),
  ]
}
