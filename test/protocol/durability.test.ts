/**
 * What was acknowledged is there after the process was killed, however often and in the middle of
 * whatever: byte for byte, with every tag, and with nothing staged but sessions that are known.
 */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import type { Reply } from '../support/http-client.ts'
import { type ImageFixture, imageFixture } from '../support/image-fixture.ts'
import { withDigest } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const cycles = 12
const pushers = 4

let registry: Registry
before(async () => {
  registry = await startRegistry()
})
after(() => registry[Symbol.asyncDispose]())

/** What the registry said it has. */
class Acknowledged {
  readonly blobs = new Map<string, Buffer>()
  readonly manifests = new Map<string, Buffer>()
  readonly tags = new Map<string, string>()
  readonly sessions = new Map<string, number>()
  /** The blob of each session whose end was asked for and not answered. */
  readonly undecided = new Map<string, { digest: string; bytes: Buffer }>()
}

const known = new Acknowledged()
const repository = 'durable/any'

/** An answer, or undefined when the server died before it gave one. */
async function attempt(ask: () => Promise<Reply>): Promise<Reply | undefined> {
  try {
    return await ask()
  } catch {
    return undefined
  }
}

async function pushBlob(digest: string, bytes: Buffer): Promise<boolean> {
  const started = await attempt(() => registry.request('POST', `/v2/${repository}/blobs/uploads/`))
  if (started === undefined) return false
  assert.equal(started.status, 202)
  const location = started.header('location')
  known.sessions.set(location, 0)
  const half = bytes.length >> 1
  const patched = await attempt(() =>
    registry.request('PATCH', location, { body: bytes.subarray(0, half) }),
  )
  if (patched === undefined) return false
  assert.equal(patched.status, 202)
  known.sessions.set(location, half)
  const put = await attempt(() =>
    registry.request('PUT', withDigest(location, digest), { body: bytes.subarray(half) }),
  )
  known.sessions.delete(location)
  if (put === undefined) {
    known.undecided.set(location, { digest, bytes })
    return false
  }
  assert.equal(put.status, 201)
  known.blobs.set(digest, bytes)
  return true
}

async function pushImage(tag: string, image: ImageFixture): Promise<boolean> {
  for (const { digest, bytes } of image.blobs) if (!(await pushBlob(digest, bytes))) return false
  for (const { digest, bytes, mediaType } of image.manifests) {
    const isRoot = digest === image.root.digest
    const path = `/v2/${repository}/manifests/${isRoot ? tag : digest}`
    const headers = { 'content-type': mediaType }
    const put = await attempt(() => registry.request('PUT', path, { body: bytes, headers }))
    if (put === undefined) return false
    assert.equal(put.status, 201)
    known.manifests.set(digest, bytes)
    if (isRoot) known.tags.set(tag, digest)
  }
  return true
}

/** Pushes one image after the other until the server dies. */
async function pushUntilDeath(cycle: number, pusher: number): Promise<number> {
  for (let round = 0; ; round += 1) {
    const seed = cycle * 10_000 + pusher * 1_000 + round
    const image = imageFixture({
      seed,
      layers: 2,
      layerBytes: 40_000,
      platforms: round % 2 === 0 ? ['linux/amd64'] : ['linux/amd64', 'linux/arm64'],
    })
    if (!(await pushImage(`tag-${seed}`, image))) return round
  }
}

async function assertAllThere(): Promise<void> {
  for (const [tag, digest] of known.tags) {
    const head = await registry.request('HEAD', `/v2/${repository}/manifests/${tag}`)
    assert.equal(head.status, 200, `tag ${tag}`)
    assert.equal(head.header('docker-content-digest'), digest)
  }
  for (const [digest, bytes] of known.manifests) {
    const got = await registry.request('GET', `/v2/${repository}/manifests/${digest}`)
    assert.ok(got.body.equals(bytes), `manifest ${digest}: ${got.status}`)
  }
  for (const [digest, bytes] of known.blobs) {
    const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
    assert.ok(got.body.equals(bytes), `blob ${digest}: ${got.status}`)
  }
  for (const [location, offset] of known.sessions) {
    const status = await registry.request('GET', location)
    assert.equal(status.status, 204, location)
    const [, end = ''] = status.header('range').split('-')
    assert.ok(Number(end) + 1 >= offset, `${location} is at ${end}, ${offset} were acknowledged`)
  }
}

/** Staged files without a session; to be called while the registry does not run. */
async function findOrphans(): Promise<string[]> {
  const database = new DatabaseSync(join(registry.dataDirectory, 'metadata.db'))
  try {
    const rows = database.prepare('select id from uploads').all()
    const ids = new Set(rows.map((row) => String(row['id'])))
    const staged = await readdir(join(registry.dataDirectory, 'uploads'))
    return staged.filter((name) => !ids.has(name))
  } finally {
    database.close()
  }
}

describe(
  'a registry that is killed again and again while images are pushed',
  { timeout: 300_000 },
  () => {
    test(`has all that it acknowledged after each of ${cycles} times`, async () => {
      for (let cycle = 0; cycle < cycles; cycle += 1) {
        const pushing = Array.from({ length: pushers }, (_, pusher) =>
          pushUntilDeath(cycle, pusher),
        )
        const wanted = known.blobs.size + 3 + cycle * 2
        // Killed at another moment each time: with so many blobs in, whatever else goes on.
        await until('enough was pushed', () => known.blobs.size >= wanted)
        await registry.kill()
        await Promise.all(pushing)
        await registry.restart()
        const errors = registry.logs().filter(({ level }) => level === 'error')
        assert.deepEqual(errors, [])
        for (const [digest, bytes] of [...known.blobs].slice(-20)) {
          const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
          assert.ok(got.body.equals(bytes), `blob ${digest} after cycle ${cycle}: ${got.status}`)
        }
      }
      assert.ok(known.tags.size > 0)
      await assertAllThere()
    })

    test('has nothing staged but what its sessions know', async () => {
      await registry.stop()
      assert.deepEqual(await findOrphans(), [])
      await registry.start()
    })

    test('has either the session or the blob of a push that was not answered', async () => {
      for (const [location, { digest, bytes }] of known.undecided) {
        const { status } = await registry.request('GET', location)
        if (status === 204) continue
        assert.equal(status, 404)
        const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
        assert.ok(got.body.equals(bytes), `blob ${digest}: ${got.status}`)
      }
    })

    test('has nothing staged when all sessions are cancelled', async () => {
      for (const location of [...known.sessions.keys(), ...known.undecided.keys()]) {
        const { status } = await registry.request('DELETE', location)
        assert.ok(status === 204 || (status === 404 && known.undecided.has(location)), location)
      }
      assert.deepEqual(await readdir(join(registry.dataDirectory, 'uploads')), [])
    })
  },
)
