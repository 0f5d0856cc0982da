// A crowd that does everything at once, much of it badly: pushes, pulls and pulls through that are
// broken off anywhere, requests that are none. Afterwards memory, descriptors and staged bytes are
// back where they were.
//
// TROW_SOAK_SECONDS makes it longer, TROW_SOAK_SEED repeats what is asked for.

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Random } from '../simulation/random.ts'
import { cutting } from '../support/fake-upstream-behaviours.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { openDescriptors } from '../support/open-descriptors.ts'
import { residentBytes } from '../support/process-memory.ts'
import { pathOf, proxyConfig } from '../support/pull-through.ts'
import { type Blob, makeBlob, startSession, withDigest } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const seconds = Number(process.env['TROW_SOAK_SECONDS'] ?? 12)
const seed = Number(process.env['TROW_SOAK_SEED'] ?? Math.floor(Math.random() * 1_000_000))
const clients = 12
const MiB = 1 << 20

const blobs = Array.from({ length: 20 }, (_, index) => makeBlob(`soak ${index}`, index * 130_000))
const image = imageFixture({ seed: 5, layers: 3, layerBytes: 200_000 })

class Crowd {
  readonly #registry: Registry
  readonly #upstream: string
  readonly #random: Random
  readonly sessions = new Set<string>()
  steps = 0

  constructor(registry: Registry, upstream: string, random: Random) {
    this.#registry = registry
    this.#upstream = upstream
    this.#random = random
  }

  async run(isOver: () => boolean): Promise<void> {
    const steps = [
      () => this.#push(),
      () => this.#pushInChunks(),
      () => this.#breakOff('POST', this.#whole(this.#blob())),
      () => this.#breakOffChunk(),
      () => this.#pull(),
      () => this.#pull(),
      () => this.#stopReading(`/v2/soak/any/blobs/${this.#blob().digest}`),
      () => this.#stopReading(`${this.#upstream}/blobs/${this.#blob().digest}`),
      () => this.#pullThrough(),
      () => this.#pushImage(),
      () => this.#nonsense(),
      () => this.#delete(),
    ]
    while (!isOver()) {
      await this.#random.pick(steps)()
      this.steps += 1
    }
  }

  #blob(): Blob {
    return this.#random.pick(blobs)
  }

  #whole({ digest }: Blob): string {
    return `/v2/soak/any/blobs/uploads/?digest=${digest}`
  }

  async #push(): Promise<void> {
    const blob = this.#blob()
    const reply = await this.#registry.request('POST', this.#whole(blob), { body: blob.bytes })
    assert.equal(reply.status, 201)
  }

  async #pushInChunks(): Promise<void> {
    const { bytes, digest } = this.#blob()
    const location = await startSession(this.#registry, 'soak/any')
    const half = bytes.length >> 1
    await this.#registry.request('PATCH', location, { body: bytes.subarray(0, half) })
    const put = withDigest(location, digest)
    const done = await this.#registry.request('PUT', put, { body: bytes.subarray(half) })
    assert.equal(done.status, 201)
  }

  async #breakOffChunk(): Promise<void> {
    const location = await startSession(this.#registry, 'soak/any')
    this.sessions.add(location)
    await this.#breakOff('PATCH', location)
  }

  async #breakOff(method: string, path: string): Promise<void> {
    const { bytes } = this.#blob()
    using connection = await RawConnection.open(this.#registry.url)
    connection.writeHead(method, path, { 'Content-Length': String(bytes.length + 1) })
    connection.write(bytes.subarray(0, this.#random.below(bytes.length + 1)))
    await connection.flushed()
  }

  async #pull(): Promise<void> {
    const { bytes, digest } = this.#blob()
    const start = this.#random.below(bytes.length + 1)
    const headers = this.#random.chance(2) ? { range: `bytes=${start}-` } : {}
    const path = `/v2/soak/any/blobs/${digest}`
    const reply = await this.#registry.request('GET', path, { headers })
    if (reply.status === 200) assert.ok(reply.body.equals(bytes))
    if (reply.status === 206) assert.ok(reply.body.equals(bytes.subarray(start)))
    assert.ok([200, 206, 404, 416].includes(reply.status), String(reply.status))
  }

  async #stopReading(path: string): Promise<void> {
    using connection = await RawConnection.open(this.#registry.url)
    connection.writeHead('GET', path)
    if (this.#random.chance(2)) await connection.readHead()
    if (this.#random.chance(4)) connection.writeHead('GET', path)
  }

  async #pullThrough(): Promise<void> {
    const { bytes, digest } = this.#blob()
    const path = `${this.#upstream}/blobs/${digest}`
    const reply = await this.#registry.request('GET', path)
    assert.ok(reply.body.equals(bytes), `${reply.status} ${reply.body.toString().slice(0, 200)}`)
  }

  async #pushImage(): Promise<void> {
    await this.#registry.push('soak/image', `tag-${this.#random.below(20)}`, image)
  }

  async #nonsense(): Promise<void> {
    using connection = await RawConnection.open(this.#registry.url)
    connection.write(Buffer.from(Array.from({ length: 200 }, () => this.#random.below(256))))
    await connection.flushed()
  }

  async #delete(): Promise<void> {
    const path = `/v2/soak/any/blobs/${this.#blob().digest}`
    const { status } = await this.#registry.request('DELETE', path)
    assert.ok([202, 404].includes(status), String(status))
  }
}

/** As many connections and files as when nobody is there. */
async function quietCount(registry: Registry): Promise<number> {
  registry.disconnect()
  let last = Number.NaN
  return until('descriptors stay the same', async () => {
    const { length } = await openDescriptors(registry.pid)
    const isSame = length === last
    last = length
    return isSame && length
  })
}

async function crowd(
  t: TestContext,
  registry: Registry,
  upstream: string,
  forSeconds: number,
): Promise<void> {
  const end = performance.now() + forSeconds * 1000
  const all = Array.from(
    { length: clients },
    (_, index) => new Crowd(registry, upstream, new Random(seed + index)),
  )
  await Promise.all(all.map((one) => one.run(() => performance.now() > end)))
  for (const location of all.flatMap(({ sessions }) => [...sessions])) {
    await until('the session is let go', async () => {
      const { status } = await registry.request('DELETE', location)
      return status === 204
    })
  }
  t.diagnostic(`${all.reduce((sum, { steps }) => sum + steps, 0)} steps in ${forSeconds} s`)
}

test(
  `a crowd of ${clients} for ${seconds} s leaves memory, descriptors and disk as they were (seed ${seed})`,
  { skip: process.platform !== 'linux' && 'descriptors and memory are read from /proc' },
  async (t) => {
    await using upstream = await FakeUpstream.start()
    for (const { bytes } of blobs) upstream.content.addBlob('app', bytes)
    upstream.use(cutting(60_000), { on: /blobs/, times: 30 })
    const config = proxyConfig([{ host: upstream.host, insecure: true }])
    await using registry = await startRegistry({ config })
    const path = pathOf(upstream, 'app')
    const descriptors = await quietCount(registry)
    // Buffers, code and caches that are there from the first minute on are no leak.
    await crowd(t, registry, path, seconds / 3)
    await quietCount(registry)
    const memory = residentBytes(registry.pid)
    await crowd(t, registry, path, (seconds * 2) / 3)

    const uploads = join(registry.dataDirectory, 'uploads')
    await until('nothing is staged', async () => (await readdir(uploads)).length === 0)
    await until('no more is open', async () => (await quietCount(registry)) <= descriptors + 2)
    const grown = Math.round((residentBytes(registry.pid) - memory) / MiB)
    assert.ok(grown < 100, `${grown} MiB more`)
    const errors = registry.logs().filter(({ level }) => level === 'error')
    assert.deepEqual(errors, [])
    t.diagnostic(`${grown} MiB more than after a third of it`)
  },
)
