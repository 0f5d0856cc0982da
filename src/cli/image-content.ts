/**
 * What a manifest holds, read from the registry: its descriptors with what people want to know of
 * them, and of its config the few fields that say what the image is.
 */
import { limits } from '../config/limits.ts'
import { type Descriptor, isRecord, type Platform } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { type Manifest, parseManifest } from '../oci/manifest.ts'
import { isIndexMediaType, mediaTypes } from '../oci/media-type.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { RegistryClient } from '../upstream/client.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { parseJson } from '../upstream/exchange.ts'
import type { UpstreamManifest } from '../upstream/manifest-answer.ts'

/** A repository in another registry, for as long as a command runs. */
export interface RemoteRepository {
  readonly client: RegistryClient
  readonly repository: RepositoryName
  readonly signal: AbortSignal
}

export interface ReadManifest extends UpstreamManifest {
  readonly manifest: Manifest
  readonly document: Readonly<Record<string, unknown>>
}

export interface ImageConfig {
  readonly platform?: Platform
  readonly created?: string
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** How many environment variables; their values are nobody's business here. */
  readonly envCount: number
}

/** @throws UpstreamError, of problem `content` for a manifest that makes no sense. */
export async function readManifest(
  { client, repository, signal }: RemoteRepository,
  reference: Reference,
): Promise<ReadManifest> {
  const answer = await client.getManifest(repository, reference, signal)
  const document = parseJson(answer.bytes)
  try {
    const manifest = parseManifest(answer.bytes, answer.mediaType)
    return { ...answer, manifest, document: isRecord(document) ? document : {} }
  } catch (cause) {
    if (!(cause instanceof OciError)) throw cause
    const message = `${client.registry}/${repository}: ${cause.message}`
    throw new UpstreamError(message, { host: client.registry, problem: 'content', cause })
  }
}

export function isIndex({ mediaType }: { readonly mediaType: string }): boolean {
  return isIndexMediaType(mediaType)
}

/** The config's descriptor, if it is one of a runnable image: an artifact's may be anything. */
export function imageConfigOf({ manifest }: ReadManifest): Descriptor | undefined {
  const [config] = manifest.blobs
  const isConfig = config !== undefined && configMediaTypes.has(config.mediaType)
  return isConfig && !isIndex(manifest) ? config : undefined
}

/** An image has one only if it names one itself; for anything else its config's type tells. */
export function artifactTypeOf(read: ReadManifest): string | undefined {
  const artifactType = read.document['artifactType']
  if (typeof artifactType === 'string' && artifactType !== '') return artifactType
  return imageConfigOf(read) === undefined ? read.manifest.artifactType : undefined
}

const configMediaTypes = new Set<string>([
  mediaTypes.ociConfig,
  'application/vnd.docker.container.image.v1+json',
])

export async function readImageConfig(
  { client, repository, signal }: RemoteRepository,
  digest: Digest,
): Promise<ImageConfig> {
  const bytesMax = limits.upstreamConfigBytesMax
  const bytes = await client.readBlob(repository, digest, { bytesMax, signal })
  const document = parseJson(bytes)
  const config = isRecord(document) ? document : {}
  const process = isRecord(config['config']) ? config['config'] : {}
  const { os, architecture, variant, created } = config
  const entrypoint = textsOf(process['Entrypoint'])
  const cmd = textsOf(process['Cmd'])
  return {
    ...(typeof os === 'string' &&
      typeof architecture === 'string' && {
        platform: { os, architecture, ...(typeof variant === 'string' && variant && { variant }) },
      }),
    ...(typeof created === 'string' && { created }),
    ...(entrypoint && { entrypoint }),
    ...(cmd && { cmd }),
    envCount: textsOf(process['Env'])?.length ?? 0,
  }
}

function textsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.filter((text) => typeof text === 'string') : undefined
}

/** Bytes of config and layers, of each one once, as it is stored and pulled once. */
export function contentBytes(descriptors: readonly Descriptor[]): number {
  const sizes = new Map(descriptors.map(({ digest, size }) => [digest, size]))
  return [...sizes.values()].reduce((sum, size) => sum + size, 0)
}

/** Whether a failure concerns one thing only, so that the others can still be shown. */
export function isAboutOneThing(error: unknown): error is UpstreamError {
  if (!(error instanceof UpstreamError)) return false
  return error.problem === 'content' || error.status === 404
}
