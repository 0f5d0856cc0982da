// What a registry is, in plain maps: the model that the simulation holds the real one against. It
// knows no durability, no files and no SQL; what is refused is a `Refusal` with the code a client
// is told.

import type { Digest } from '../../src/oci/digest.ts'
import type { OciErrorCode } from '../../src/oci/errors.ts'
import {
  deleteImage,
  type ModelPolicy,
  release,
  withoutExpired,
  withoutUntagged,
} from './model-images.ts'
import { graceSeconds, renewalSeconds } from './registry-under-test.ts'

const graceMs = graceSeconds * 1000
const renewalMs = renewalSeconds * 1000

/** Thrown where the registry answers an error. */
export class Refusal extends Error {
  readonly code: OciErrorCode

  constructor(code: OciErrorCode) {
    super(code)
    this.code = code
  }
}

/** A manifest as somebody who reads it understands it; not what the registry's parser made of it. */
export interface ModelManifest {
  readonly digest: Digest
  readonly bytes: Buffer
  readonly mediaType: string
  readonly blobs: readonly Digest[]
  readonly manifests: readonly Digest[]
  /** All that it names: those, and layers that need not be here. */
  readonly references: readonly Digest[]
  readonly subject?: Digest
  readonly artifactType?: string
  readonly annotations?: Record<string, string>
}

interface ManifestDates {
  /** When it was pushed last. */
  readonly createdAt: number
  readonly pulledAt?: number
  /** When a tag, an index or a subject let go of it. */
  readonly releasedAt?: number
}

export interface ModelRepository {
  readonly blobs: Set<Digest>
  /** When each blob was last put here, or somebody was told that it is here. */
  readonly askedAt: Map<Digest, number>
  readonly manifests: Map<Digest, ModelManifest>
  readonly tags: Map<string, Digest>
  /** Of each tag, and of some that are gone. */
  readonly taggedAt: Map<string, number>
  /** Of each manifest. */
  readonly dates: Map<Digest, ManifestDates>
}

export interface ModelUpload {
  readonly repository: string
  /** What was acknowledged. */
  bytes: Buffer
  updatedAt: number
  /** Its bytes became a blob that nobody was told of: they cannot be continued. */
  lost: boolean
}

export class Model {
  readonly repositories = new Map<string, ModelRepository>()
  /** Everything that was acknowledged and not collected since. */
  readonly content = new Map<Digest, Buffer>()
  readonly uploads = new Map<string, ModelUpload>()

  #repository(name: string): ModelRepository {
    const known = this.repositories.get(name)
    if (known !== undefined) return known
    const repository = {
      blobs: new Set<Digest>(),
      askedAt: new Map<Digest, number>(),
      manifests: new Map<Digest, ModelManifest>(),
      tags: new Map<string, Digest>(),
      taggedAt: new Map<string, number>(),
      dates: new Map<Digest, ManifestDates>(),
    }
    this.repositories.set(name, repository)
    return repository
  }

  putBlob(name: string, digest: Digest, bytes: Buffer, now: number): void {
    this.content.set(digest, bytes)
    this.#has(name, digest, now)
  }

  #has(name: string, digest: Digest, now: number): void {
    const repository = this.#repository(name)
    repository.blobs.add(digest)
    repository.askedAt.set(digest, now)
  }

  /** Somebody is told that it is there, which is noted only if it was not lately. */
  promiseBlob(name: string, digest: Digest, now: number): Buffer {
    const bytes = this.getBlob(name, digest)
    const { askedAt } = this.#repository(name)
    if ((askedAt.get(digest) ?? 0) < now - renewalMs) askedAt.set(digest, now)
    return bytes
  }

  /** What no manifest of its repository needs goes after the grace, what nobody has at once. */
  collect(now: number, policy: ModelPolicy): void {
    const askedBefore = now - graceMs - renewalMs
    for (const [name, repository] of this.repositories) {
      let rest = withoutExpired(name, repository, policy, { now, askedBefore })
      const { untaggedSeconds } = policy
      if (untaggedSeconds !== undefined) {
        rest = withoutUntagged(rest, Math.min(now - untaggedSeconds * 1000, askedBefore), now)
      }
      this.repositories.set(name, rest)
    }
    for (const { blobs, askedAt, manifests } of this.repositories.values()) {
      const needed = new Set([...manifests.values()].flatMap((manifest) => manifest.references))
      for (const digest of blobs) {
        const isOld = (askedAt.get(digest) ?? 0) < now - graceMs - renewalMs
        if (isOld && !needed.has(digest)) blobs.delete(digest)
      }
    }
    const held = [...this.repositories.values()].flatMap(({ blobs, manifests }) => [
      ...blobs,
      ...manifests.keys(),
    ])
    for (const digest of this.content.keys())
      if (!held.includes(digest)) this.content.delete(digest)
  }

  /** @returns whether it was mounted. */
  mountBlob(name: string, digest: Digest, from: string | undefined, now: number): boolean {
    const sources = from === undefined ? [...this.repositories.keys()] : [from]
    const has = sources.some((source) => this.repositories.get(source)?.blobs.has(digest))
    if (has) this.#has(name, digest, now)
    return has
  }

  getBlob(name: string, digest: Digest): Buffer {
    const bytes = this.content.get(digest)
    if (bytes === undefined || !this.repositories.get(name)?.blobs.has(digest)) {
      throw new Refusal('BLOB_UNKNOWN')
    }
    return bytes
  }

  deleteBlob(name: string, digest: Digest): void {
    this.getBlob(name, digest)
    const { manifests, blobs } = this.#repository(name)
    for (const manifest of manifests.values()) {
      if (manifest.blobs.includes(digest)) throw new Refusal('DENIED')
    }
    blobs.delete(digest)
  }

  putManifest(
    name: string,
    manifest: ModelManifest,
    { tags, now }: { readonly tags: readonly string[]; readonly now: number },
  ): void {
    const known = this.repositories.get(name)
    const isComplete =
      manifest.blobs.every((digest) => known?.blobs.has(digest)) &&
      manifest.manifests.every((digest) => known?.manifests.has(digest))
    if (!isComplete) throw new Refusal('MANIFEST_BLOB_UNKNOWN')
    const repository = this.#repository(name)
    this.content.set(manifest.digest, manifest.bytes)
    const { digest } = manifest
    // Only while it is there: afterwards it is another one.
    const before = repository.manifests.has(digest) ? repository.dates.get(digest) : {}
    repository.manifests.set(digest, manifest)
    repository.dates.set(digest, { ...before, createdAt: now })
    for (const tag of tags) {
      const target = repository.tags.get(tag)
      if (target !== undefined && target !== digest) release(repository, [target], now)
      repository.tags.set(tag, digest)
      repository.taggedAt.set(tag, now)
    }
  }

  getManifest(name: string, reference: string): ModelManifest {
    const repository = this.repositories.get(name)
    if (repository === undefined) throw new Refusal('NAME_UNKNOWN')
    const digest = (repository.tags.get(reference) ?? reference) as Digest
    const manifest = repository.manifests.get(digest)
    if (manifest === undefined) throw new Refusal('MANIFEST_UNKNOWN')
    return manifest
  }

  findManifest(name: string, reference: string): ModelManifest | undefined {
    const repository = this.repositories.get(name)
    return repository?.manifests.get((repository.tags.get(reference) ?? reference) as Digest)
  }

  /** Somebody got it. */
  pullManifest(name: string, reference: string, now: number): ModelManifest {
    const manifest = this.getManifest(name, reference)
    this.pulled(name, manifest.digest, now)
    return manifest
  }

  pulled(name: string, digest: Digest, now: number): void {
    const known = this.repositories.get(name)?.dates.get(digest)
    if (known !== undefined) this.#repository(name).dates.set(digest, { ...known, pulledAt: now })
  }

  /** @returns what goes, by `trow rm`. */
  deleteImage(
    name: string,
    reference: string,
    { dryRun, now }: { readonly dryRun: boolean; readonly now: number },
  ): object {
    const repository = this.repositories.get(name)
    const digest = (repository?.tags.get(reference) ?? reference) as Digest
    if (repository?.manifests.has(digest) !== true) throw new Refusal('MANIFEST_UNKNOWN')
    const whole = digest === reference
    const own = [...repository.tags].filter(([, target]) => target === digest)
    const tags = whole ? own.map(([tag]) => tag) : [reference]
    const deleted = deleteImage(repository, { digest, tags, whole }, now)
    if (typeof deleted === 'string') throw new Refusal('DENIED')
    if (!dryRun) this.repositories.set(name, deleted.rest)
    return { repository: name, tags: deleted.tags, manifests: deleted.manifests }
  }

  /** @returns how much goes. */
  deleteRepository(name: string, { dryRun }: { readonly dryRun: boolean }): object {
    const repository = this.repositories.get(name)
    if (repository === undefined) throw new Refusal('NAME_UNKNOWN')
    const { tags, manifests, blobs } = repository
    if (!dryRun) this.repositories.delete(name)
    return { repository: name, tags: tags.size, manifests: manifests.size, blobs: blobs.size }
  }

  deleteManifest(name: string, reference: string, now: number): void {
    const { digest } = this.getManifest(name, reference)
    const repository = this.#repository(name)
    const { manifests, tags } = repository
    if (tags.delete(reference)) {
      release(repository, [digest], now)
      return
    }
    for (const manifest of manifests.values()) {
      if (manifest.manifests.includes(digest)) throw new Refusal('DENIED')
    }
    const dependents = [...manifests.values()].filter(({ subject }) => subject === digest)
    const children = manifests.get(digest)?.manifests ?? []
    release(repository, [...children, ...dependents.map((other) => other.digest)], now)
    manifests.delete(digest)
    for (const [tag, target] of tags) if (target === digest) tags.delete(tag)
  }

  listTags(name: string): string[] {
    const repository = this.repositories.get(name)
    if (repository === undefined) throw new Refusal('NAME_UNKNOWN')
    return [...repository.tags.keys()].toSorted()
  }

  listRepositories(): string[] {
    const names = [...this.repositories].filter(([, { manifests }]) => manifests.size > 0)
    return names.map(([name]) => name).toSorted()
  }

  listReferrers(name: string, subject: Digest): object[] {
    const manifests = [...(this.repositories.get(name)?.manifests.values() ?? [])]
    return manifests
      .filter((manifest) => manifest.subject === subject)
      .toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
      .map(({ digest, bytes, mediaType, artifactType, annotations }) => ({
        digest,
        mediaType,
        size: bytes.length,
        ...(artifactType !== undefined && { artifactType }),
        ...(annotations && { annotations }),
      }))
  }

  /** The database is made anew: sessions are forgotten, and so are names without content. */
  loseDatabase(now: number): void {
    this.uploads.clear()
    for (const [name, repository] of this.repositories) {
      const { blobs, manifests, tags } = repository
      if (blobs.size === 0 && manifests.size === 0) this.repositories.delete(name)
      for (const digest of blobs) repository.askedAt.set(digest, now)
      for (const digest of manifests.keys()) repository.dates.set(digest, { createdAt: now })
      for (const tag of tags.keys()) repository.taggedAt.set(tag, now)
    }
    const all = [...this.repositories.values()]
    const held = new Set(all.flatMap(({ blobs, manifests }) => [...blobs, ...manifests.keys()]))
    for (const digest of this.content.keys()) if (!held.has(digest)) this.content.delete(digest)
  }

  startUpload(id: string, repository: string, now: number): void {
    this.uploads.set(id, { repository, bytes: Buffer.alloc(0), updatedAt: now, lost: false })
  }

  getUpload(name: string, id: string): ModelUpload {
    const upload = this.uploads.get(id)
    if (upload?.repository !== name) throw new Refusal('BLOB_UPLOAD_UNKNOWN')
    return upload
  }

  expireUploads(before: number): number {
    const idle = [...this.uploads].filter(([, { updatedAt }]) => updatedAt < before)
    for (const [id] of idle) this.uploads.delete(id)
    return idle.length
  }

  /** @throws Error for a tag of nothing, and an index or image that lacks a part of it. */
  checkWhole(): void {
    for (const [name, { tags, manifests, blobs }] of this.repositories) {
      for (const [tag, digest] of tags) {
        if (!manifests.has(digest)) throw new Error(`${name}:${tag} points at nothing`)
      }
      for (const { digest, ...needs } of manifests.values()) {
        const isWhole =
          needs.blobs.every((blob) => blobs.has(blob)) &&
          needs.manifests.every((child) => manifests.has(child))
        if (!isWhole) throw new Error(`${name}@${digest} lacks what it needs`)
      }
    }
  }

  countContent(): object {
    const all = [...this.repositories.values()]
    const sum = (numbers: number[]): number => numbers.reduce((total, number) => total + number, 0)
    return {
      repositories: all.length,
      manifests: sum(all.map(({ manifests }) => manifests.size)),
      tags: sum(all.map(({ tags }) => tags.size)),
      blobs: this.content.size,
      bytes: sum([...this.content.values()].map((bytes) => bytes.length)),
      uploads: this.uploads.size,
    }
  }
}
