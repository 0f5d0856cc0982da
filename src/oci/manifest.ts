/**
 * Manifests as a registry sees them: which media type they are of, and what they refer to. The bytes
 * themselves are stored and served as they came, unknown fields and white space included.
 * Image specification: manifest.md, image-index.md; docker: image manifest version 2, schema 2.
 */
import { type Descriptor, isRecord, parseDescriptor } from './descriptor.ts'
import { OciError } from './errors.ts'
import {
  essence,
  isIndexMediaType,
  isManifestMediaType,
  isNondistributableMediaType,
  isSchema1MediaType,
  mediaTypes,
} from './media-type.ts'

export interface Manifest {
  readonly mediaType: string
  /** As the referrers API reports it: its own, else an image's config media type, else absent. */
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
  /** The manifest that this one is about; it need not exist. */
  readonly subject?: Descriptor
  /** Config and layers, in the order of the manifest. */
  readonly blobs: readonly Descriptor[]
  /** Layers whose media type allows that the registry does not have them. */
  readonly optionalBlobs: readonly Descriptor[]
  /** Children of an index. */
  readonly manifests: readonly Descriptor[]
}

/**
 * @param bytes the manifest as pushed: UTF-8 JSON.
 * @param contentType the request's header; where it names no manifest type the document decides.
 * @throws OciError MANIFEST_INVALID, naming the field at fault.
 */
export function parseManifest(bytes: Uint8Array, contentType: string | undefined): Manifest {
  const document = parseDocument(bytes)
  const mediaType = decideMediaType(document, contentType)
  // Clients in Go may write what is absent as null.
  const subject = parseOptionalDescriptor(document['subject'], 'subject')
  const annotations = parseAnnotations(document['annotations'])
  const artifactType = artifactTypeOf(document, mediaType)
  const content = isIndexMediaType(mediaType)
    ? indexContent(document)
    : imageContent(document, mediaType)
  return {
    mediaType,
    ...content,
    ...(subject && { subject }),
    ...(annotations && { annotations }),
    ...(artifactType !== undefined && { artifactType }),
  }
}

/** What is quoted of the manifest is the client's to choose, and may have megabytes. */
const problemLengthMax = 500

function invalid(problem: string, cause?: unknown): OciError {
  const message = `manifest invalid: ${problem.slice(0, problemLengthMax)}`
  return new OciError('MANIFEST_INVALID', { message, cause })
}

function parseDocument(bytes: Uint8Array): Record<string, unknown> {
  let document: unknown
  try {
    document = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw invalid('it is not JSON in UTF-8', cause)
  }
  if (!isRecord(document)) throw invalid('it is not a JSON object')
  if (document['schemaVersion'] === 1) throw schema1()
  return document
}

function schema1(): OciError {
  return invalid(
    'docker image manifest version 2 schema 1 is not supported: it was deprecated in 2017 ' +
      'and cannot be verified by digest; push the image again with a current client',
  )
}

/** The document's own mediaType must agree with the header (specification, "Pushing Manifests"). */
function decideMediaType(
  document: Record<string, unknown>,
  contentType: string | undefined,
): string {
  const declared = document['mediaType']
  if (declared !== undefined && typeof declared !== 'string') {
    throw invalid('mediaType is not a string')
  }
  const header = contentType === undefined ? '' : essence(contentType)
  if (isSchema1MediaType(header) || (declared !== undefined && isSchema1MediaType(declared))) {
    throw schema1()
  }
  const named = isManifestMediaType(header) ? header : undefined
  if (declared !== undefined) {
    if (!isManifestMediaType(declared))
      throw invalid(`mediaType "${declared}" is not a manifest type`)
    if (named !== undefined && named !== declared) {
      throw invalid(`mediaType is "${declared}" but the Content-Type header says "${named}"`)
    }
    return declared
  }
  return named ?? inferMediaType(document)
}

/** For old pushers that name no type anywhere: the shape tells. */
function inferMediaType(document: Record<string, unknown>): string {
  if (Array.isArray(document['manifests'])) {
    return hasDockerChild(document['manifests']) ? mediaTypes.dockerList : mediaTypes.ociIndex
  }
  const config = document['config']
  if (isRecord(config)) {
    const isDocker = startsMediaType(config, 'application/vnd.docker.container.image')
    return isDocker ? mediaTypes.dockerManifest : mediaTypes.ociManifest
  }
  throw invalid(
    'it has neither a mediaType nor a Content-Type, and neither "config" nor "manifests"',
  )
}

function hasDockerChild(children: unknown[]): boolean {
  return children.some(
    (child) => isRecord(child) && startsMediaType(child, 'application/vnd.docker.'),
  )
}

/** The descriptor was not checked yet: its mediaType may be anything. */
function startsMediaType(descriptor: Record<string, unknown>, prefix: string): boolean {
  const { mediaType } = descriptor
  return typeof mediaType === 'string' && mediaType.startsWith(prefix)
}

type Content = Pick<Manifest, 'blobs' | 'optionalBlobs' | 'manifests'>

function imageContent(document: Record<string, unknown>, mediaType: string): Content {
  const isArtifact = mediaType === mediaTypes.ociArtifact
  const config = isArtifact ? [] : [parseDescriptor(document['config'], 'config')]
  const field = isArtifact ? 'blobs' : 'layers'
  const layers = parseDescriptors(document[field] ?? [], field)
  return {
    blobs: [...config, ...layers.filter((layer) => !isNondistributableMediaType(layer.mediaType))],
    optionalBlobs: layers.filter((layer) => isNondistributableMediaType(layer.mediaType)),
    manifests: [],
  }
}

/** BuildKit's cache index lists layers as its children: what is no manifest type is a blob. */
function indexContent(document: Record<string, unknown>): Content {
  const children = parseDescriptors(
    document['manifests'] === null ? [] : document['manifests'],
    'manifests',
  )
  return {
    blobs: children.filter((child) => !isManifestMediaType(child.mediaType)),
    optionalBlobs: [],
    manifests: children.filter((child) => isManifestMediaType(child.mediaType)),
  }
}

function parseOptionalDescriptor(value: unknown, field: string): Descriptor | undefined {
  return value === undefined || value === null ? undefined : parseDescriptor(value, field)
}

function parseDescriptors(value: unknown, field: string): Descriptor[] {
  if (!Array.isArray(value)) throw invalid(`"${field}" is not a list`)
  return value.map((item, index) => parseDescriptor(item, `${field}[${index}]`))
}

function parseAnnotations(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined
  if (!isRecord(value)) throw invalid('"annotations" is not an object')
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw invalid(`annotation "${key}" is not a string`)
  }
  return value as Record<string, string>
}

/** Specification, "Listing Referrers": an image falls back to its config's type, an index does not. */
function artifactTypeOf(document: Record<string, unknown>, mediaType: string): string | undefined {
  const own = document['artifactType']
  if (typeof own === 'string' && own !== '') return own
  const config = document['config']
  if (isIndexMediaType(mediaType) || !isRecord(config)) return undefined
  return typeof config['mediaType'] === 'string' ? config['mediaType'] : undefined
}
