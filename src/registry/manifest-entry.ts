/** What the database is told of a manifest. */
import type { Digest } from '../oci/digest.ts'
import type { Manifest } from '../oci/manifest.ts'
import type { ManifestEntry } from './ports/records.ts'

/** A manifest may name the same content twice; one kind of need is enough, the strongest. */
export function entryOf(manifest: Manifest, digest: Digest, size: number): ManifestEntry {
  const { subject, mediaType, annotations, artifactType } = manifest
  const blobs = new Set(manifest.blobs.map((descriptor) => descriptor.digest))
  const manifests = new Set(manifest.manifests.map((descriptor) => descriptor.digest))
  const optional = new Set(manifest.optionalBlobs.map((descriptor) => descriptor.digest))
  return {
    digest,
    size,
    mediaType,
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
    ...(subject && { subject: subject.digest }),
    blobs: [...blobs],
    manifests: [...manifests.difference(blobs)],
    optionalBlobs: [...optional.difference(blobs).difference(manifests)],
  }
}
