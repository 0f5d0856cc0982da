// One client of a registry that is killed again and again: a repository of its own, what the registry
// acknowledged of it, and at most one request that was not answered. After a restart that one request
// is done or not done, never half, and everything else is as it was acknowledged.

import assert from 'node:assert/strict'
import type { Random } from '../simulation/random.ts'
import type { Reply, RequestOptions } from '../support/http-client.ts'
import type { Content } from '../support/image-fixture.ts'
import {
  type Blob,
  makeBlob,
  makeManifest,
  ociManifest,
  sha512Digest,
  withDigest,
} from '../support/push-steps.ts'
import type { Registry } from '../support/start-registry.ts'

const sizes = [0, 1, 300, 5_000, 70_000, 300_000, 1_400_000]
const blobs = Array.from({ length: 42 }, (_, index) => {
  const blob = makeBlob(`kill ${index}`, sizes[index % sizes.length])
  return index % 5 === 4 ? { ...blob, digest: sha512Digest(blob.bytes) } : blob
})
const tags = ['latest', 'v1', 'v2', 'v3', '_', 'constructor']

interface Session {
  readonly blob: Blob
  /** Bytes that were acknowledged. */
  offset: number
}

/** Looks after a restart at what came of a request that was not answered. */
type Settle = () => Promise<void>

/** The server died before it answered. */
class Died extends Error {}

export class KillClient {
  readonly repository: string
  readonly #registry: Registry
  readonly #random: Random
  readonly #others: readonly KillClient[]
  readonly #blobs = new Map<string, Blob>()
  readonly #manifests = new Map<string, Content & { readonly needs: readonly Blob[] }>()
  readonly #tags = new Map<string, string>()
  readonly #sessions = new Map<string, Session>()
  /** Every manifest that was ever pushed, or tried to be. */
  readonly #tried = new Map<string, Content>()
  #variant = 0
  #settle: Settle | undefined
  /** Requests that were answered. */
  answered = 0

  constructor(registry: Registry, random: Random, others: readonly KillClient[]) {
    this.#registry = registry
    this.#random = random
    this.#others = others
    this.repository = `kill/client-${others.length}`
  }

  /** One step after the other until the server dies. */
  async run(): Promise<void> {
    const steps = [
      () => this.#pushWhole(),
      () => this.#pushWhole(),
      () => this.#pushInChunks(),
      () => this.#pushInChunks(),
      () => this.#pushWrong(),
      () => this.#mount(),
      () => this.#pushManifest(),
      () => this.#pushManifest(),
      () => this.#pushManifest(),
      () => this.#moveTags(),
      () => this.#deleteTag(),
      () => this.#deleteManifest(),
      () => this.#deleteBlob(),
    ]
    try {
      for (;;) await this.#random.pick(steps)()
    } catch (error) {
      if (!(error instanceof Died)) throw error
    }
  }

  /** All that was acknowledged is there, byte for byte, and nothing else is. */
  async check(): Promise<void> {
    await this.#settle?.()
    this.#settle = undefined
    for (const blob of blobs) await this.#checkBlob(blob)
    for (const manifest of this.#tried.values()) await this.#checkManifest(manifest)
    for (const tag of tags) {
      assert.equal(await this.#digestOf(tag), this.#tags.get(tag), this.#name(tag))
    }
    for (const [location, session] of this.#sessions) {
      assert.equal(await this.#offsetOf(location), session.offset, location)
    }
  }

  async cancelSessions(): Promise<void> {
    for (const location of this.#sessions.keys()) {
      const reply = await this.#registry.request('DELETE', location)
      assert.equal(reply.status, 204, reply.body.toString())
    }
    this.#sessions.clear()
  }

  async #ask(
    settle: Settle,
    method: string,
    path: string,
    options: RequestOptions = {},
  ): Promise<Reply> {
    let reply: Reply
    try {
      reply = await this.#registry.request(method, path, options)
    } catch (cause) {
      this.#settle = settle
      throw new Died('no answer', { cause })
    }
    this.answered += 1
    assert.ok(reply.status < 500, `${method} ${path}: ${reply.status} ${reply.body.toString()}`)
    return reply
  }

  async #pushWhole(): Promise<void> {
    const blob = this.#random.pick(blobs)
    const path = `/v2/${this.repository}/blobs/uploads/?digest=${blob.digest}`
    const reply = await this.#ask(this.#maybeHas(blob), 'POST', path, { body: blob.bytes })
    assert.equal(reply.status, 201)
    this.#blobs.set(blob.digest, blob)
  }

  /** Begins a session, or goes on with one that is open, perhaps since before the last kill. */
  async #pushInChunks(): Promise<void> {
    const open = [...this.#sessions.keys()]
    const goesOn = open.length > 0 && (open.length > 3 || this.#random.chance(2))
    const location = goesOn ? this.#random.pick(open) : await this.#startSession()
    const session = this.#sessions.get(location)
    assert.ok(session !== undefined)
    const { bytes } = session.blob
    while (session.offset < bytes.length && !this.#random.chance(4)) {
      const left = bytes.length - session.offset
      await this.#append(location, session, 1 + this.#random.below(left))
    }
    if (!this.#random.chance(3)) await this.#complete(location, session)
  }

  async #startSession(): Promise<string> {
    const blob = this.#random.pick(blobs)
    const [algorithm] = blob.digest.split(':')
    const path = `/v2/${this.repository}/blobs/uploads/?digest-algorithm=${algorithm}`
    // Of a session that nobody was told of nobody can know.
    const reply = await this.#ask(() => Promise.resolve(), 'POST', path)
    assert.equal(reply.status, 202)
    const location = reply.header('location')
    this.#sessions.set(location, { blob, offset: 0 })
    return location
  }

  async #append(location: string, session: Session, count: number): Promise<void> {
    const { offset } = session
    const body = session.blob.bytes.subarray(offset, offset + count)
    const headers = { 'content-range': `${offset}-${offset + count - 1}` }
    const settle = async (): Promise<void> => {
      if (offset === 0 && count === 1) return this.#startOver(location, session)
      const reached = await this.#offsetOf(location)
      assert.ok(reached >= offset && reached <= offset + count, `${location} is at ${reached}`)
      session.offset = reached
    }
    const reply = await this.#ask(settle, 'PATCH', location, { body, headers })
    assert.equal(reply.status, 202, reply.body.toString())
    session.offset = offset + count
  }

  /** `0-0` says nothing and one byte alike: sending that byte again tells. */
  async #startOver(location: string, session: Session): Promise<void> {
    const body = session.blob.bytes.subarray(0, 1)
    const headers = { 'content-range': '0-0' }
    const { status } = await this.#registry.request('PATCH', location, { body, headers })
    assert.ok(status === 202 || status === 416, `${location}: ${status}`)
    session.offset = 1
  }

  async #complete(location: string, { blob, offset }: Session): Promise<void> {
    const settle = async (): Promise<void> => {
      const { status } = await this.#registry.request('GET', location)
      this.#sessions.delete(location)
      await this.#maybeHas(blob)()
      if (status === 404)
        assert.ok(this.#blobs.has(blob.digest), `${location} ended without a blob`)
      else await this.#registry.request('DELETE', location)
    }
    const body = blob.bytes.subarray(offset)
    const reply = await this.#ask(settle, 'PUT', withDigest(location, blob.digest), { body })
    assert.equal(reply.status, 201, reply.body.toString())
    this.#sessions.delete(location)
    this.#blobs.set(blob.digest, blob)
  }

  /** Under a digest that is not the one of the bytes: nobody may ever see them. */
  async #pushWrong(): Promise<void> {
    const { digest } = this.#random.pick(blobs)
    const { bytes } = makeBlob('other bytes', 5_000)
    const path = `/v2/${this.repository}/blobs/uploads/?digest=${digest}`
    const reply = await this.#ask(() => Promise.resolve(), 'POST', path, { body: bytes })
    assert.equal(reply.status, 400)
  }

  async #mount(): Promise<void> {
    const other = this.#random.pick([this, ...this.#others])
    const blob = this.#random.pick(blobs)
    const query = `mount=${blob.digest}&from=${other.repository}`
    const path = `/v2/${this.repository}/blobs/uploads/?${query}`
    const reply = await this.#ask(this.#maybeHas(blob), 'POST', path)
    if (reply.status === 201) this.#blobs.set(blob.digest, blob)
    else this.#sessions.set(reply.header('location'), { blob, offset: 0 })
  }

  async #pushManifest(): Promise<void> {
    const needs = this.#random.some([...this.#blobs.values()], 3)
    const [config, ...layers] = needs
    if (config === undefined) return
    const describe = ({ digest, bytes }: Blob): object => ({
      mediaType: 'application/vnd.example',
      digest,
      size: bytes.length,
    })
    this.#variant += 1
    const manifest = makeManifest({
      config: describe(config),
      layers: layers.map(describe),
      annotations: { variant: String(this.#variant) },
    })
    await this.#put({ ...manifest, needs })
  }

  async #moveTags(): Promise<void> {
    const known = [...this.#manifests.values()]
    if (known.length > 0) await this.#put(this.#random.pick(known))
  }

  async #put(manifest: Content & { readonly needs: readonly Blob[] }): Promise<void> {
    const named = [this.#random.pick(tags), ...this.#random.some(tags, 2)]
    const [tag, ...more] = this.#random.chance(3) ? [manifest.digest, ...named] : named
    const moved = tag === manifest.digest ? named : [tag, ...more]
    const query = more.map((name) => `tag=${name}`).join('&')
    const path = `/v2/${this.repository}/manifests/${tag}?${query}`
    this.#tried.set(manifest.digest, manifest)
    const done = (): void => {
      this.#manifests.set(manifest.digest, manifest)
      for (const name of moved) if (name !== undefined) this.#tags.set(name, manifest.digest)
    }
    const before = moved.map((name) => this.#tags.get(name ?? ''))
    const settle = async (): Promise<void> => {
      const now = await Promise.all(moved.map((name) => this.#digestOf(name ?? '')))
      const isDone = now.every((digest) => digest === manifest.digest)
      assert.ok(isDone || now.join() === before.join(), `tags moved in part: ${moved.join()}`)
      if (isDone) done()
    }
    const headers = { 'content-type': ociManifest }
    const reply = await this.#ask(settle, 'PUT', path, { body: manifest.bytes, headers })
    assert.equal(reply.status, 201, reply.body.toString())
    done()
  }

  async #deleteTag(): Promise<void> {
    const known = [...this.#tags.keys()]
    if (known.length === 0) return
    const tag = this.#random.pick(known)
    const settle = async (): Promise<void> => {
      if ((await this.#digestOf(tag)) === undefined) this.#tags.delete(tag)
    }
    const path = `/v2/${this.repository}/manifests/${tag}`
    const reply = await this.#ask(settle, 'DELETE', path)
    assert.equal(reply.status, 202)
    this.#tags.delete(tag)
  }

  async #deleteManifest(): Promise<void> {
    const known = [...this.#manifests.keys()]
    if (known.length === 0) return
    const digest = this.#random.pick(known)
    const done = (): void => {
      this.#manifests.delete(digest)
      for (const [tag, target] of this.#tags) if (target === digest) this.#tags.delete(tag)
    }
    const settle = async (): Promise<void> => {
      if ((await this.#digestOf(digest)) === undefined) done()
    }
    const path = `/v2/${this.repository}/manifests/${digest}`
    const reply = await this.#ask(settle, 'DELETE', path)
    assert.equal(reply.status, 202)
    done()
  }

  async #deleteBlob(): Promise<void> {
    const known = [...this.#blobs.values()]
    if (known.length === 0) return
    const blob = this.#random.pick(known)
    const needed = [...this.#manifests.values()].flatMap(({ needs }) => needs)
    const isNeeded = needed.some(({ digest }) => digest === blob.digest)
    const settle = async (): Promise<void> => {
      const { status } = await this.#get(blob.digest)
      if (status === 404 && !isNeeded) this.#blobs.delete(blob.digest)
    }
    const path = `/v2/${this.repository}/blobs/${blob.digest}`
    const reply = await this.#ask(settle, 'DELETE', path)
    assert.equal(reply.status, isNeeded ? 405 : 202)
    if (!isNeeded) this.#blobs.delete(blob.digest)
  }

  /** It may be there now, and nothing is lost if it is not. */
  #maybeHas(blob: Blob): Settle {
    return async () => {
      const { status } = await this.#get(blob.digest)
      if (status === 200) this.#blobs.set(blob.digest, blob)
    }
  }

  #get(digest: string): Promise<Reply> {
    return this.#registry.request('GET', `/v2/${this.repository}/blobs/${digest}`)
  }

  async #checkBlob({ digest, bytes }: Blob): Promise<void> {
    const reply = await this.#get(digest)
    if (!this.#blobs.has(digest)) return assert.equal(reply.status, 404, this.#name(digest))
    assert.equal(reply.status, 200, this.#name(digest))
    assert.ok(reply.body.equals(bytes), this.#name(digest))
  }

  async #checkManifest({ digest, bytes }: Content): Promise<void> {
    const path = `/v2/${this.repository}/manifests/${digest}`
    const reply = await this.#registry.request('GET', path)
    if (!this.#manifests.has(digest)) return assert.equal(reply.status, 404, this.#name(digest))
    assert.equal(reply.status, 200, this.#name(digest))
    assert.ok(reply.body.equals(bytes), this.#name(digest))
  }

  async #digestOf(reference: string): Promise<string | undefined> {
    const path = `/v2/${this.repository}/manifests/${reference}`
    const reply = await this.#registry.request('HEAD', path)
    if (reply.status === 404) return undefined
    assert.equal(reply.status, 200)
    return reply.header('docker-content-digest')
  }

  async #offsetOf(location: string): Promise<number> {
    const reply = await this.#registry.request('GET', location)
    assert.equal(reply.status, 204, `${location}: ${reply.body.toString()}`)
    const end = Number(reply.header('range').split('-')[1])
    if (end > 0) return end + 1
    return this.#sessions.get(location)?.offset === 1 ? 1 : 0
  }

  #name(what: string): string {
    return `${this.repository} ${what}`
  }
}
