// What operators do to a registry that is being used: start a second one on its data, replace it by
// the next version, stop it, give it another configuration and certificate. Whoever uses it
// meanwhile loses nothing that was acknowledged, and is not cut in the middle.

import assert from 'node:assert/strict'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { issueCertificate } from '../support/certificate.ts'
import { failedStart } from '../support/failed-start.ts'
import { type Reply, send } from '../support/http-client.ts'
import { type Blob, makeBlob, pushTag, startSession, withDigest } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const repository = 'operation/any'

interface Load {
  readonly pushed: Blob[]
  /** Tags, and what each was last acknowledged to name. */
  readonly tags: Map<string, string>
  answered: number
  /** Requests without an answer. */
  readonly unanswered: Error[]
}

function newLoad(): Load {
  return { pushed: [], tags: new Map(), answered: 0, unanswered: [] }
}

/** Pushes, pulls and tags until it is told to stop, or finds nobody there. */
async function use(
  registry: Registry,
  load: Load,
  worker: number,
  goesOn: () => boolean,
): Promise<void> {
  try {
    for (let round = 0; goesOn(); round += 1) {
      const blob = makeBlob(`used by ${worker} in ${round}`, 50_000 * (1 + (round % 4)))
      await registry.pushBlob(repository, blob)
      load.pushed.push(blob)
      const tag = `tag-${worker}`
      const { digest } = await pushTag(registry, repository, tag, `${worker} ${round}`)
      load.tags.set(tag, digest)
      const path = `/v2/${repository}/blobs/${blob.digest}`
      assert.ok((await registry.request('GET', path)).body.equals(blob.bytes))
      load.answered += 4
    }
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    load.unanswered.push(error as Error)
  }
}

async function assertKept(registry: Registry, load: Load): Promise<void> {
  for (const { digest, bytes } of load.pushed) {
    const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
    assert.ok(got.body.equals(bytes), `${digest}: ${got.status}`)
  }
  for (const tag of load.tags.keys()) {
    const head = await registry.request('HEAD', `/v2/${repository}/manifests/${tag}`)
    assert.equal(head.status, 200)
  }
}

describe('a second server on the same data', () => {
  test('is refused by whatever path it comes, and the first goes on', async () => {
    await using registry = await startRegistry()
    const load = newLoad()
    let goesOn = true
    const using = [1, 2].map((worker) => use(registry, load, worker, () => goesOn))
    const link = `${registry.dataDirectory}-link`
    await symlink(registry.dataDirectory, link)
    for (const path of [
      registry.dataDirectory,
      link,
      join(registry.dataDirectory, 'blobs', '..'),
    ]) {
      const { code, stderr } = await failedStart(path)
      assert.equal(code, 1)
      assert.match(stderr, new RegExp(`in use by process ${registry.pid} on host `))
    }
    goesOn = false
    await Promise.all(using)
    assert.deepEqual(load.unanswered, [])
    await assertKept(registry, load)
  })

  test('starts at once when the first was killed, and has all of it', async () => {
    await using registry = await startRegistry()
    const load = newLoad()
    const using = use(registry, load, 1, () => true)
    await until('something is there', () => load.pushed.length > 3)
    await registry.kill()
    await using
    await using second = await startRegistry({ dataDirectory: registry.dataDirectory })
    await assertKept(second, load)
  })
})

describe('a server that is replaced by the next version', () => {
  test('finishes what is under way, and open uploads go on at the next one', async () => {
    await using registry = await startRegistry()
    const blob = makeBlob('upgraded', 3_000_000)
    const half = 1_500_000
    const locations = await Promise.all([1, 2, 3].map(() => startSession(registry, repository)))
    const [begun = '', sending = '', empty = ''] = locations
    const first = { body: blob.bytes.subarray(0, half) }
    assert.equal((await registry.request('PATCH', begun, first)).status, 202)
    using connection = await RawConnection.open(registry.url)
    const headers = { 'Content-Length': String(half), Expect: '100-continue' }
    connection.writeHead('PATCH', sending, headers)
    assert.equal((await connection.readHead()).status, 100)
    connection.write(blob.bytes.subarray(0, 1_000_000))
    await connection.flushed()

    const known = registry.logLength
    registry.signal('SIGTERM')
    await registry.logged(({ msg }) => msg.startsWith('stopping'), known)
    connection.write(blob.bytes.subarray(1_000_000, half))
    const patched = await connection.readReply()
    assert.deepEqual([patched.status, patched.header('range')], [202, `0-${half - 1}`])
    assert.equal(patched.header('connection'), 'close')
    assert.equal(await registry.exit, 0)

    await registry.start()
    for (const location of [begun, sending]) {
      const rest = { body: blob.bytes.subarray(half) }
      const put = await registry.request('PUT', withDigest(location, blob.digest), rest)
      assert.equal(put.status, 201, put.body.toString())
    }
    const whole = { body: blob.bytes }
    const put = await registry.request('PUT', withDigest(empty, blob.digest), whole)
    assert.equal(put.status, 201)
  })
})

describe('a server that is stopped while it is used', () => {
  test('cuts no answer that has begun, and loses nothing that it acknowledged', async () => {
    await using registry = await startRegistry()
    const load = newLoad()
    const using = [1, 2, 3, 4, 5, 6].map((worker) => use(registry, load, worker, () => true))
    await until('it is used', () => load.answered > 60)
    registry.signal('SIGTERM')
    assert.equal(await registry.exit, 0)
    await Promise.all(using)
    // Of an answer that was cut node's client says that it was aborted.
    const cut = load.unanswered.filter(({ message }) => message === 'aborted')
    assert.deepEqual(cut, [])
    const errors = registry.logs().filter(({ level }) => level === 'error')
    assert.deepEqual(errors, [])
    await registry.start()
    await assertKept(registry, load)
  })
})

describe('a configuration and a certificate that are exchanged', () => {
  const names = ['localhost', '127.0.0.1']
  const certificates = [issueCertificate(names), issueCertificate(names)] as const
  const ca = certificates.map((certificate) => certificate.ca).join('')
  const login = { name: 'ann', password: 'correct horse' }

  function configOf(round: number): string {
    const auth = { user: login.name, password: login.password, anonymous_pull: round % 2 === 0 }
    return JSON.stringify({ auth, log_level: 'info', uploads: { idle_timeout: `${1 + round}h` } })
  }

  async function exchange(registry: Registry, round: number): Promise<void> {
    const { cert, key } = certificates[round % 2 === 0 ? 0 : 1]
    const known = registry.logLength
    await writeFile(registry.certFile, cert)
    await writeFile(registry.keyFile, key)
    await writeFile(registry.configFile, configOf(round))
    registry.signal('SIGHUP')
    await registry.logged(({ msg }) => msg === 'configuration reloaded', known)
  }

  /** Each over a connection of its own, which is the moment for a certificate to be wrong. */
  async function greet(registry: Registry, goesOn: () => boolean): Promise<Reply[]> {
    const replies: Reply[] = []
    const headers = {
      authorization: `Basic ${Buffer.from(`${login.name}:${login.password}`).toString('base64')}`,
    }
    while (goesOn()) {
      replies.push(await send('GET', new URL('/v2/', registry.url), { headers }, { ca }))
    }
    return replies
  }

  test('again and again while it is used: no request fails, no connection is refused', async () => {
    const tls = { ...certificates[0], ca }
    await using registry = await startRegistry({ tls, user: login, config: configOf(0) })
    const load = newLoad()
    let goesOn = true
    const using = [1, 2, 3].map((worker) => use(registry, load, worker, () => goesOn))
    const greeting = greet(registry, () => goesOn)
    for (let round = 1; round <= 12; round += 1) await exchange(registry, round)
    goesOn = false
    await Promise.all(using)
    assert.deepEqual(load.unanswered, [])
    const replies = await greeting
    assert.ok(replies.length > 5)
    for (const reply of replies) assert.equal(reply.status, 200)
    await assertKept(registry, load)
  })
})
