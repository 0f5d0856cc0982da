// The single steps of a push, for tests that look at what is between them, and small content to push.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Reply } from './http-client.ts'
import { type Content, pseudoRandomBytes, sha256Digest } from './image-fixture.ts'
import type { Registry } from './start-registry.ts'

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
export const ociIndex = 'application/vnd.oci.image.index.v1+json'

export type Blob = Pick<Content, 'digest' | 'bytes'>

/** The same bytes for the same seed. */
export function makeBlob(seed: string, size = 100): Blob {
  const bytes = pseudoRandomBytes(seed, size)
  return { bytes, digest: sha256Digest(bytes) }
}

export function sha512Digest(bytes: Uint8Array): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`
}

/** @returns the session's Location. */
export async function startSession(
  registry: Registry,
  repository: string,
  query = '',
): Promise<string> {
  const reply = await registry.request('POST', `/v2/${repository}/blobs/uploads/${query}`)
  assert.equal(reply.status, 202, reply.body.toString())
  return reply.header('location')
}

/** What ends a session: its Location with the digest that its bytes are to have. */
export function withDigest(location: string, digest: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`
}

/** An empty image manifest's fields, whose config is pushed first. */
export async function pushConfig(registry: Registry, repository: string): Promise<object> {
  const bytes = Buffer.from('{}')
  const config = { digest: sha256Digest(bytes), bytes }
  await registry.pushBlob(repository, config)
  return {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: config.digest,
    size: bytes.length,
  }
}

/** A manifest with the given fields, as it is pushed. */
export function makeManifest(fields: object, mediaType = ociManifest): Content {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...fields }))
  return { bytes, digest: sha256Digest(bytes), mediaType }
}

/** The smallest image there is, different for each `label`; pushed under a tag. */
export async function pushTag(
  registry: Registry,
  repository: string,
  tag: string,
  label = tag,
): Promise<Content> {
  const config = await pushConfig(registry, repository)
  const manifest = makeManifest({ config, layers: [], annotations: { label } })
  await registry.pushManifest(repository, tag, manifest)
  return manifest
}

/** An answer that is an error of the specification's form, with this status and code. */
export function assertError(reply: Reply, status: number, code: string): void {
  const text = reply.body.toString()
  assert.equal(reply.status, status, text)
  assert.equal(reply.header('content-type'), 'application/json')
  assert.deepEqual(reply.codes(), [code])
}
