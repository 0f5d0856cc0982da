// What the simulation pushes: blobs of awkward sizes, and manifests of every shape, each with what a
// reader makes of it.

import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { mediaTypes } from '../../src/oci/media-type.ts'
import { patternBytes } from '../support/bytes.ts'
import type { ModelManifest } from './model.ts'
import type { Random } from './random.ts'
import { bufferBytes } from './registry-under-test.ts'

export interface Content {
  readonly digest: Digest
  readonly bytes: Buffer
}

const sizes = [0, 1, 7, 256, bufferBytes - 1, bufferBytes, bufferBytes + 1, 3 * bufferBytes]

/** The same in each run: what varies is what happens to them. */
export const blobContents: readonly Content[] = sizes.map((size, seed) => {
  const bytes = patternBytes(size, seed)
  return { bytes, digest: digestOf(bytes, seed % 3 === 2 ? 'sha512' : 'sha256') }
})

const layerType = 'application/vnd.oci.image.layer.v1.tar'
const foreignType = 'application/vnd.oci.image.layer.nondistributable.v1.tar'
const artifactTypes = ['application/vnd.example.a', 'application/vnd.example.b']

export interface ManifestPushContent {
  readonly manifest: ModelManifest
  /** Undefined where the document says what it is. */
  readonly contentType: string | undefined
}

/** What there is to refer to. */
interface Surroundings {
  readonly blobs: readonly Digest[]
  readonly manifests: readonly Digest[]
  readonly subjects: readonly Digest[]
}

type Document = Record<string, unknown>

const imageTypes = [mediaTypes.ociManifest, mediaTypes.dockerManifest]
const indexTypes = [mediaTypes.ociIndex, mediaTypes.dockerList]

/**
 * The ways to push one document: several where it is both an image and an index as far as it goes,
 * and the Content-Type decides.
 */
export function randomManifest(random: Random, around: Surroundings): ManifestPushContent[] {
  const shape = random.pick(['image', 'image', 'index', 'either'] as const)
  const declared = random.pick(shape === 'index' ? indexTypes : imageTypes)
  const blobs = [random.pick(around.blobs), ...random.some(around.blobs, 2)]
  const children = random.some(around.manifests, 2)
  const cacheLayers = random.some(around.blobs, 1)
  const common = randomFields(random, around.subjects)
  const document: Document = {
    schemaVersion: 2,
    ...(shape !== 'either' && { mediaType: declared }),
    ...(shape !== 'index' && imageFields(blobs, random.chance(4))),
    ...(shape !== 'image' && {
      manifests: [
        ...children.map((digest) => descriptor(digest, mediaTypes.ociManifest)),
        ...cacheLayers.map((digest) => descriptor(digest, layerType)),
      ],
    }),
    ...common,
    variant: random.below(3),
  }
  const bytes = Buffer.from(JSON.stringify(document, null, random.below(3)))
  const described = {
    digest: digestOf(bytes, random.chance(5) ? 'sha512' : 'sha256'),
    bytes,
    ...(common.subject !== undefined && { subject: common.subject.digest }),
    ...(common.annotations && { annotations: common.annotations }),
  }
  const read = (mediaType: string): ManifestPushContent => {
    const isIndex = indexTypes.some((type) => type === mediaType)
    const artifactType = common.artifactType ?? (isIndex ? undefined : mediaTypes.ociConfig)
    const content = isIndex ? { blobs: cacheLayers, manifests: children } : { blobs, manifests: [] }
    return {
      manifest: {
        ...described,
        ...content,
        references: [...content.blobs, ...content.manifests],
        mediaType,
        ...(artifactType !== undefined && { artifactType }),
      },
      contentType: shape === 'either' ? mediaType : undefined,
    }
  }
  return shape === 'either' ? [...imageTypes, ...indexTypes].map(read) : [read(declared)]
}

function randomFields(random: Random, subjects: readonly Digest[]) {
  return {
    ...(random.chance(3) && {
      subject: descriptor(random.pick(subjects), mediaTypes.ociManifest),
    }),
    ...(random.chance(3) && { artifactType: random.pick(artifactTypes) }),
    ...(random.chance(3) && { annotations: { number: String(random.below(2)) } }),
  }
}

function imageFields([config, ...layers]: readonly Digest[], foreign: boolean): Document {
  const elsewhere = descriptor(digestOf(Buffer.from('elsewhere')), foreignType)
  return {
    config: config && descriptor(config, mediaTypes.ociConfig),
    layers: [
      ...layers.map((digest) => descriptor(digest, layerType)),
      ...(foreign ? [elsewhere] : []),
    ],
  }
}

function descriptor(digest: Digest, mediaType: string) {
  return { mediaType, digest, size: 1 }
}
