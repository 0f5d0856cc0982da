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
import type { RepositoryName } from '../oci/repository-name.ts'
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
