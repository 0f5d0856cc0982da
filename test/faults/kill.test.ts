// A server that is killed again and again, at any moment, while clients push in every way, move tags,
// delete and pull through it, and while it collects garbage. What it acknowledged is there afterwards
// byte for byte, what it did not answer is done or not done, nothing is visible that was not verified,
// and nothing is left behind.
//
// TROW_KILL_CYCLES makes it longer, TROW_KILL_SEED repeats what is asked for (not the moments).

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../simulation/random.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { pathOf, proxyConfig } from '../support/pull-through.ts'
import { makeBlob } from '../support/push-steps.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'
import { KillClient } from './kill-client.ts'

const cycles = Number(process.env['TROW_KILL_CYCLES'] ?? 12)
const seed = Number(process.env['TROW_KILL_SEED'] ?? Math.floor(Math.random() * 1_000_000))
const clientCount = 4

const proxied = Array.from({ length: 12 }, (_, index) =>
  makeBlob(`proxied ${index}`, 10 + index * 150_000),
)

/** Pulls through the cache until the server dies; what is answered whole is right. */
async function pullUntilDeath(registry: Registry, path: string, random: Random): Promise<void> {
  for (;;) {
    const { digest, bytes } = random.pick(proxied)
    try {
      const reply = await registry.request('GET', `${path}/blobs/${digest}`)
      assert.ok(reply.body.equals(bytes), `${digest}: ${reply.status}`)
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      return
    }
  }
}

/** One pass after the other, until the server dies. */
async function collectUntilDeath(registry: Registry): Promise<void> {
  for (;;) {
    try {
      const reply = await registry.request('POST', '/api/gc')
      assert.match(reply.body.toString(), /"report"/)
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      return
    }
  }
}

class StoredFiles {
  readonly #directory: string
  readonly #verified = new Set<string>()

  constructor(directory: string) {
    this.#directory = directory
  }

  /** A file that has the name of a blob has its bytes, whoever may see it. */
  async check(): Promise<void> {
    const root = join(this.#directory, 'blobs')
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || this.#verified.has(entry.name)) continue
      const algorithm = entry.name.length === 64 ? 'sha256' : 'sha512'
      const bytes = await readFile(join(entry.parentPath, entry.name))
      assert.equal(createHash(algorithm).update(bytes).digest('hex'), entry.name)
      this.#verified.add(entry.name)
    }
  }

  /** After a pass: nobody's content has gone, row and bytes. */
  checkCollected(): void {
    const database = new DatabaseSync(join(this.#directory, 'metadata.db'), { readOnly: true })
    const left = database
      .prepare(
        `select digest from removals union all select digest from blobs
         where digest not in (select digest from repository_blobs)
           and digest not in (select digest from manifests)`,
      )
      .all()
    database.close()
    assert.deepEqual(left, [])
  }

  /** Nothing is staged but what a session has; asked before the first request. */
  async checkStaged(): Promise<void> {
    const database = new DatabaseSync(join(this.#directory, 'metadata.db'), { readOnly: true })
    const rows = database.prepare('select id from uploads').all()
    database.close()
    const known = new Set(rows.map(({ id }) => String(id)))
    const staged = await readdir(join(this.#directory, 'uploads'))
    assert.deepEqual(
      staged.filter((name) => !known.has(name)),
      [],
      'staged, and nobody knows it',
    )
  }
}

/** Not even while it starts is there a bad moment. */
async function killWhileStarting(registry: Registry, random: Random): Promise<void> {
  const starting = registry.start().catch(() => undefined)
  await delay(random.below(900))
  await registry.kill()
  await starting
}

test(`a registry that is killed ${cycles} times has what it acknowledged (seed ${seed})`, async (t) => {
  const random = new Random(seed)
  await using upstream = await FakeUpstream.start()
  for (const { bytes } of proxied) upstream.content.addBlob('app', bytes)
  const config = proxyConfig([{ host: upstream.host, insecure: true }])
  await using registry = await startRegistry({ config })
  const files = new StoredFiles(registry.dataDirectory)
  const path = pathOf(upstream, 'app')
  const clients: KillClient[] = []
  for (let index = 0; index < clientCount; index += 1) {
    clients.push(new KillClient(registry, new Random(seed + index), [...clients]))
  }
  const count = (): number => clients.reduce((sum, client) => sum + client.answered, 0)
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    const before = count()
    const running = [
      ...clients.map((client) => client.run()),
      pullUntilDeath(registry, path, new Random(seed + cycle)),
      collectUntilDeath(registry),
    ]
    await until('requests are answered', () => count() > before + 10)
    await delay(random.below(150))
    await registry.kill()
    await Promise.all(running)
    await files.check()
    if (random.chance(4)) await killWhileStarting(registry, random)
    await registry.restart()
    await files.checkStaged()
    await Promise.all(clients.map((client) => client.check()))
  }
  const host = upstream.host
  await upstream[Symbol.asyncDispose]()
  let cached = 0
  for (const { digest, bytes } of proxied) {
    const reply = await registry.request('GET', `${path}/blobs/${digest}`)
    if (reply.status !== 200) continue
    assert.ok(reply.body.equals(bytes), `${host} ${digest}`)
    cached += 1
  }
  await Promise.all(clients.map((client) => client.cancelSessions()))
  await registry.request('POST', '/api/gc')
  files.checkCollected()
  assert.deepEqual(await readdir(join(registry.dataDirectory, 'uploads')), [])
  assert.deepEqual(
    registry.logs().filter(({ level }) => level === 'error'),
    [],
  )
  t.diagnostic(`${count()} requests answered, ${cached} of ${proxied.length} proxied blobs kept`)
})
