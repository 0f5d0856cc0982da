// What a fake upstream holds, and its correct answers: the read side of the distribution
// specification, with pages, single ranges and referrers, for any number of repositories.

import { createHash } from 'node:crypto'
import type { Answer, FakeRequest } from './fake-upstream.ts'
import type { Content, ImageFixture } from './image-fixture.ts'

interface Repository {
  readonly blobs: Map<string, Buffer>
  readonly manifests: Map<string, { readonly bytes: Buffer; readonly mediaType: string }>
  readonly tags: Map<string, string>
}

const indexMediaType = 'application/vnd.oci.image.index.v1+json'

export class FakeContent {
  /** Pages are never longer than this, whatever a client asks for. */
  pageEntriesMax = 1_000
  readonly #repositories = new Map<string, Repository>()

  /** Pushes an image and tags its root. */
  addImage(name: string, image: ImageFixture, ...tags: readonly string[]): this {
    for (const blob of image.blobs) this.addBlob(name, blob.bytes, blob.digest)
    for (const manifest of image.manifests) this.addManifest(name, manifest)
    for (const tag of tags) this.setTag(name, tag, image.root.digest)
    return this
  }

  addManifest(name: string, manifest: Content, ...tags: readonly string[]): this {
    const { bytes, mediaType, digest } = manifest
    this.#get(name).manifests.set(digest, { bytes, mediaType })
    for (const tag of tags) this.setTag(name, tag, digest)
    return this
  }

  addBlob(name: string, bytes: Buffer, digest: string = sha256(bytes)): this {
    this.#get(name).blobs.set(digest, bytes)
    return this
  }

  setTag(name: string, tag: string, digest: string): this {
    this.#get(name).tags.set(tag, digest)
    return this
  }

  answer(request: FakeRequest): Answer {
    const { method, path, query } = request
    if (method !== 'GET' && method !== 'HEAD') return errorAnswer(405, 'UNSUPPORTED')
    if (path === '/v2/' || path === '/v2') return jsonAnswer({})
    if (path === '/v2/_catalog') {
      return this.#page('repositories', [...this.#repositories.keys()], path, query)
    }
    const match = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/.exec(path)
    const [, name = '', kind, reference = ''] = match ?? []
    const repository = this.#repositories.get(name)
    if (repository === undefined) return errorAnswer(404, 'NAME_UNKNOWN')
    if (kind === 'tags') return this.#page('tags', [...repository.tags.keys()], path, query, name)
    if (kind === 'referrers') return referrersAnswer(repository, reference)
    return kind === 'manifests'
      ? manifestAnswer(repository, reference)
      : blobAnswer(repository, reference, request.headers.range)
  }

  #get(name: string): Repository {
    const known = this.#repositories.get(name)
    if (known !== undefined) return known
    const repository = { blobs: new Map(), manifests: new Map(), tags: new Map() }
    this.#repositories.set(name, repository)
    return repository
  }

  // oxlint-disable-next-line max-params
  #page(
    field: string,
    names: readonly string[],
    path: string,
    query: URLSearchParams,
    name?: string,
  ): Answer {
    const last = query.get('last') ?? ''
    const asked = Number(query.get('n') ?? this.pageEntriesMax)
    const after = names.filter((entry) => entry > last).sort()
    const page = after.slice(0, Math.min(asked, this.pageEntriesMax))
    const next = `<${path}?last=${page.at(-1) ?? ''}&n=${asked}>; rel="next"`
    return jsonAnswer(
      { ...(name !== undefined && { name }), [field]: page },
      page.length < after.length ? { link: next } : {},
    )
  }
}

function manifestAnswer(repository: Repository, reference: string): Answer {
  const digest = repository.tags.get(reference) ?? reference
  const manifest = repository.manifests.get(digest)
  if (manifest === undefined) return errorAnswer(404, 'MANIFEST_UNKNOWN')
  const { bytes, mediaType } = manifest
  const headers = { 'content-type': mediaType, 'docker-content-digest': digest }
  return { status: 200, headers, body: bytes }
}

function blobAnswer(repository: Repository, digest: string, range: string | undefined): Answer {
  const bytes = repository.blobs.get(digest)
  if (bytes === undefined) return errorAnswer(404, 'BLOB_UNKNOWN')
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
  }
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? []
  if (first === undefined) return { status: 200, headers, body: bytes }
  const start = Number(first)
  if (start >= bytes.length) return errorAnswer(416, 'RANGE_INVALID')
  const end = last ? Math.min(Number(last), bytes.length - 1) : bytes.length - 1
  const contentRange = `bytes ${start}-${end}/${bytes.length}`
  return {
    status: 206,
    headers: { ...headers, 'content-range': contentRange },
    body: bytes.subarray(start, end + 1),
  }
}

function referrersAnswer({ manifests }: Repository, subject: string): Answer {
  const referrers = [...manifests].flatMap(([digest, { bytes, mediaType }]) => {
    const document = JSON.parse(bytes.toString())
    if (document.subject?.digest !== subject) return []
    const artifactType = document.artifactType ?? document.config?.mediaType
    const { annotations } = document
    return [{ mediaType, digest, size: bytes.length, artifactType, annotations }]
  })
  const index = { schemaVersion: 2, mediaType: indexMediaType, manifests: referrers }
  return jsonAnswer(index, { 'content-type': indexMediaType })
}

export function jsonAnswer(document: unknown, headers: Answer['headers'] = {}): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify(document)),
  }
}

/** An error as the specification has it. */
export function errorAnswer(status: number, code: string, headers: Answer['headers'] = {}): Answer {
  const errors = [{ code, message: code.toLowerCase().replaceAll('_', ' ') }]
  return { ...jsonAnswer({ errors }, headers), status }
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
