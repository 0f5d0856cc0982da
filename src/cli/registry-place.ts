/**
 * Where the commands look: `[SCHEME://]REGISTRY[/REPOSITORY]` and `[SCHEME://]REFERENCE`. A scheme is no part of either, but people copy addresses from browsers.
 */
import { OciError } from '../oci/errors.ts'
import {
  type ImageReference,
  parseImageReference,
  parseRegistryHost,
  parseRepositoryIn,
  type RegistryHost,
} from '../oci/image-reference.ts'
import { parseDigest } from '../oci/digest.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { parseTag } from '../oci/tag.ts'
import type { Scheme } from '../upstream/endpoint.ts'
import { usageError } from './usage-error.ts'

export interface RegistryPlace {
  readonly registry: RegistryHost
  readonly repository?: RepositoryName
  /** What the user named; then nothing else is tried. */
  readonly scheme?: Scheme
}

/** The first segment is always the registry here, even if it could be a repository's name. */
export function parsePlace(text: string): RegistryPlace {
  const { scheme, rest } = splitScheme(text)
  const [host = '', ...path] = rest.replace(/\/$/, '').split('/')
  const repositoryText = path.join('/')
  if (/[:@]/.test(repositoryText)) {
    throw usageError(`${rest} names an image; trow inspect shows it, trow ls takes a repository`)
  }
  return checked(() => {
    const registry = parseRegistryHost(host)
    if (repositoryText === '') return { registry, ...scheme }
    return { registry, repository: parseRepositoryIn(registry, repositoryText), ...scheme }
  })
}

/** Where a Trow is found that runs on this machine as it does by default. */
export const trowPlaceDefault = '127.0.0.1:8000'

/** A Trow: all of it, no repository. */
export function parseTrowPlace(text: string): RegistryPlace {
  const { repository, ...place } = parsePlace(text)
  if (repository === undefined) return place
  throw usageError(`${text} is more than a registry; write ${place.registry}`)
}

/** What of a registry is meant: a repository, or an image of it by tag or digest. */
export interface ContentPlace extends RegistryPlace {
  readonly repository: RepositoryName
  /** Absent for all of the repository. */
  readonly reference?: Reference
}

/** The first segment is always the registry, and no tag goes without saying. */
export function parseContentPlace(text: string): ContentPlace {
  const [, name = text, mark, referenceText = ''] = /^(.*\/[^/:@]*)([:@])([^/]*)$/.exec(text) ?? []
  const { repository, ...place } = parsePlace(name)
  if (repository === undefined) throw usageError(`${text} names no repository`)
  if (mark === undefined) return { ...place, repository }
  const reference = checked(() =>
    mark === '@' ? parseDigest(referenceText) : parseTag(referenceText),
  )
  return { ...place, repository, reference }
}

export function parseImagePlace(text: string): RegistryPlace & { readonly image: ImageReference } {
  const { scheme, rest } = splitScheme(text)
  return checked(() => {
    const image = parseImageReference(rest)
    return { registry: image.registry, repository: image.repository, image, ...scheme }
  })
}

function splitScheme(text: string): { scheme: { scheme?: Scheme }; rest: string } {
  const [, scheme, rest = text] = /^(https?):\/\/(.*)$/s.exec(text) ?? []
  return { scheme: scheme === undefined ? {} : { scheme: scheme as Scheme }, rest }
}

function checked<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof OciError) throw usageError(error.message, error)
    throw error
  }
}
