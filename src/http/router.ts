/**
 * Finds the route of a path. Repository names span segments (`/v2/a/b/c/manifests/x`), so a pattern
 * is matched from both ends and `:repository` takes what is left between, one segment or more.
 */
import { OciError } from '../oci/errors.ts'

export type PathParameters = Readonly<Record<string, string>>

export interface Match<R> {
  readonly route: R
  readonly parameters: PathParameters
}

interface Compiled<R> {
  readonly route: R
  readonly head: readonly string[]
  /** Undefined for a pattern without `:repository`: then `head` is the whole of it. */
  readonly tail: readonly string[] | undefined
}

export class Router<R extends { readonly pattern: string }> {
  readonly #routes: readonly Compiled<R>[]

  /** The first route that matches is taken, so literal patterns go before those with parameters. */
  constructor(routes: readonly R[]) {
    this.#routes = routes.map(compile)
  }

  /** @param path begins with `/` and has no query. @throws OciError for a path that cannot be decoded. */
  match(path: string): Match<R> | undefined {
    const segments = path.slice(1).split('/').map(decode)
    for (const compiled of this.#routes) {
      const parameters = matchSegments(compiled, segments)
      if (parameters !== undefined) return { route: compiled.route, parameters }
    }
    return undefined
  }
}

function compile<R extends { readonly pattern: string }>(route: R): Compiled<R> {
  const segments = route.pattern.slice(1).split('/')
  const repository = segments.indexOf(':repository')
  if (repository === -1) return { route, head: segments, tail: undefined }
  return { route, head: segments.slice(0, repository), tail: segments.slice(repository + 1) }
}

function matchSegments(
  { head, tail }: Compiled<unknown>,
  segments: readonly string[],
): PathParameters | undefined {
  if (tail === undefined) {
    if (head.length !== segments.length || !fits(head, segments, 0)) return undefined
    return parametersOf(head, segments, 0)
  }
  const tailStart = segments.length - tail.length
  if (tailStart <= head.length) return undefined
  if (!fits(head, segments, 0) || !fits(tail, segments, tailStart)) return undefined
  return {
    ...parametersOf(head, segments, 0),
    ...parametersOf(tail, segments, tailStart),
    repository: segments.slice(head.length, tailStart).join('/'),
  }
}

/** Most routes do not fit a path, so this makes nothing. */
function fits(pattern: readonly string[], segments: readonly string[], start: number): boolean {
  for (let index = 0; index < pattern.length; index += 1) {
    const part = pattern[index]
    const segment = segments[start + index]
    if (segment === undefined || part === undefined) return false
    if (isParameter(part) ? segment === '' : part !== segment) return false
  }
  return true
}

function parametersOf(
  pattern: readonly string[],
  segments: readonly string[],
  start: number,
): PathParameters {
  const parameters: Record<string, string> = {}
  for (const [index, part] of pattern.entries()) {
    if (isParameter(part)) parameters[part.slice(1)] = segments[start + index] ?? ''
  }
  return parameters
}

function isParameter(part: string): boolean {
  return part.startsWith(':')
}

/** Some clients send `sha256%3A...`. */
function decode(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch (cause) {
    throw new OciError('NOT_FOUND', {
      status: 400,
      message: 'the path is not valid percent-encoded UTF-8',
      cause,
    })
  }
}
