/**
 * Repository names: the specification's `<name>` (section "Pulling manifests"), of any number of
 * path segments.
 */
import { OciError } from './errors.ts'

export type RepositoryName = string & { readonly __repositoryName: unique symbol }

/** Clients limit host, `/` and name together to 255 characters; no name can sensibly be longer. */
export const repositoryNameLengthMax = 255

const part = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const segment = new RegExp(`^${part}$`)
const name = new RegExp(`^${part}(?:/${part})*$`)

export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= repositoryNameLengthMax && name.test(text)
}

/** @throws OciError NAME_INVALID, saying which rule is broken. */
export function parseRepositoryName(text: string): RepositoryName {
  if (isRepositoryName(text)) return text
  throw new OciError('NAME_INVALID', {
    message: `invalid repository name: ${reason(text)}`,
    detail: { name: text.slice(0, repositoryNameLengthMax) },
  })
}

function reason(text: string): string {
  if (text.length === 0) return 'it is empty'
  if (text.length > repositoryNameLengthMax) {
    return `it has ${text.length} characters, at most ${repositoryNameLengthMax} are allowed`
  }
  if (text !== text.toLowerCase()) return 'it must be lower case'
  const bad = text.split('/').find((part) => !segment.test(part)) ?? ''
  if (bad === '') return 'it has an empty path segment'
  return (
    `the segment "${bad}" must be lower-case letters and digits, ` +
    'joined by single ".", "_", "__" or any number of "-"'
  )
}
