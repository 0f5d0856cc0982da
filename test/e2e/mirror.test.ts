/**
 * `trow mirror` and `trow export` of Debian's docker-registry, which has no referrers API: pages, tags
 * that stand in for referrers, a network that breaks, a registry that is at its limit, and `kill -9`.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connectionFlags, parseDigest, runClient } from '../support/clients.ts'
import { send } from '../support/http-client.ts'
import { type ImageFixture, imageFixture, sha256Digest } from '../support/image-fixture.ts'
import { type CommandResult, runTrow, startTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, requireTool } from '../support/tools.ts'
import { UpstreamGate } from '../support/upstream-gate.ts'
import { until } from '../support/until.ts'
import { startUpstream, type Upstream } from '../support/upstream-registry.ts'
import { Relay } from './relay.ts'

const MB = 1_000_000
const index = imageFixture({ platforms: ['linux/amd64', 'linux/arm64/v8'], seed: 2 })
const large = imageFixture({ layers: 1, layerBytes: 4 * MB, seed: 3 })
const many = Array.from({ length: 12 }, (_, seed) =>
  imageFixture({ layers: 3, layerBytes: 0.5 * MB, seed: 100 + seed }),
)
const repositories = ['a/index', 'b/large', 'c/many', 'd/small', 'e/small']

/** Pushes an image into any registry. */
async function push(host: string, repository: string, tag: string, image: ImageFixture) {
  const at = `http://${host}/v2/${repository}`
  for (const { digest, bytes } of image.blobs) {
    const { headers } = await send('POST', new URL(`${at}/blobs/uploads/`))
    const url = new URL(String(headers['location']))
    url.searchParams.set('digest', digest)
    const { status } = await send('PUT', url, { body: bytes })
    assert.equal(status, 201)
  }
  for (const { digest, bytes, mediaType } of image.manifests) {
    const reference = digest === image.root.digest ? tag : digest
    const url = new URL(`${at}/manifests/${reference}`)
    const options = { body: bytes, headers: { 'content-type': mediaType } }
    assert.equal((await send('PUT', url, options)).status, 201)
  }
}

async function digestAt(registry: Registry, repository: string, reference: string) {
  const reply = await registry.request('HEAD', `/v2/${repository}/manifests/${reference}`)
  return reply.status === 200 ? reply.headers['docker-content-digest'] : reply.status
}

async function openUploads(registry: Registry): Promise<number> {
  return (await readdir(join(registry.dataDirectory, 'uploads'))).length
}

/** The digests of all files, by path. */
async function filesOf(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
  const named = paths.toSorted().map(async (path) => {
    return [path.slice(directory.length + 1), sha256Digest(await readFile(path))] as const
  })
  return Object.fromEntries(await Promise.all(named))
}

describe(
  "of Debian's docker-registry",
  { skip: findTool('docker-registry') === undefined && 'no docker-registry' },
  () => {
    let temporary: TemporaryDirectory
    let upstream: Upstream
    let attached: string | undefined

    before(async () => {
      temporary = await temporaryDirectory()
      const storage = join(temporary.path, 'storage')
      await mkdir(storage)
      upstream = await startUpstream({ directory: temporary.path, storage, catalogEntriesMax: 2 })
      await push(upstream.host, 'a/index', 'v1', index)
      await push(upstream.host, 'b/large', 'v1', large)
      for (const [at, image] of many.entries()) await push(upstream.host, 'c/many', `v${at}`, image)
      for (const name of ['d/small', 'e/small'])
        await push(upstream.host, name, 'v1', imageFixture())
      if (findTool('oras') !== undefined) attached = await attach('a/index:v1')
    })
    after(async () => {
      await upstream[Symbol.asyncDispose]()
      await temporary[Symbol.asyncDispose]()
    })

    /** @returns the digest of the signature's manifest. */
    async function attach(image: string): Promise<string> {
      const directory = await mkdtemp(join(temporary.path, 'client-'))
      await writeFile(join(directory, 'signature'), 'signed')
      const target = { registry: upstream.host, directory }
      const what = ['--artifact-type', 'application/vnd.example', `${upstream.host}/${image}`]
      const flags = ['attach', '--no-tty', ...connectionFlags('oras', target), ...what]
      const args = [...flags, 'signature:text/plain', '--format=go-template={{.digest}}']
      return parseDigest(await runClient('oras', args, target))
    }

    async function mirror(from: string, to: Registry, ...args: string[]): Promise<CommandResult> {
      return await runTrow(['mirror', from, '--to', to.url, ...args])
    }

    test('takes all pages of the catalog, and what a tag says refers to an image', async (t) => {
      if (requireTool(t, 'oras') === undefined) return
      await using to = await startRegistry()
      const { code, stdout, stderr } = await mirror(upstream.host, to)
      assert.equal(code, 0, stdout + stderr)
      const catalog = await to.request('GET', '/v2/_catalog')
      assert.deepEqual(catalog.json(), { repositories })
      assert.equal(await digestAt(to, 'a/index', 'v1'), index.root.digest)
      for (const { digest } of index.manifests) {
        assert.equal(await digestAt(to, 'a/index', digest), digest)
      }
      const pages = (await upstream.takeRequests()).filter(({ path }) => path.includes('_catalog'))
      assert.deepEqual(
        pages.map(({ status }) => status),
        [400, 200, 200, 200],
      )
      const referrers = await to.request('GET', `/v2/a/index/referrers/${index.root.digest}`)
      const { manifests } = referrers.json() as { manifests: { digest: string }[] }
      assert.deepEqual(
        manifests.map(({ digest }) => digest),
        [attached],
      )
    })

    test('brings the referrers of the tags that are chosen', async (t) => {
      if (requireTool(t, 'oras') === undefined) return
      await using to = await startRegistry()
      const only = ['--repository', 'a/index', '--tag', 'v*']
      const { code, stdout, stderr } = await mirror(upstream.host, to, ...only)
      assert.equal(code, 0, stdout + stderr)
      assert.equal(await digestAt(to, 'a/index', attached ?? ''), attached)
      const tags = await to.request('GET', '/v2/a/index/tags/list')
      assert.deepEqual(tags.json(), { name: 'a/index', tags: ['v1'] })
    })

    test('goes on from the byte at which a connection was cut off', async () => {
      await using to = await startRegistry()
      await using relay = await Relay.start(async () => Number(upstream.host.split(':')[1]))
      relay.cuts.push(1.5 * MB, 0.5 * MB, 1 * MB)
      await upstream.takeRequests()
      const { code, stdout, stderr } = await mirror(relay.host, to, '--repository', 'b/large')
      assert.equal(code, 0, stdout + stderr)
      assert.deepEqual(relay.cuts, [])
      const { digest: layer, bytes } =
        large.blobs.find((blob) => blob.bytes.length > MB) ?? assert.fail()
      const asked = (await upstream.takeRequests()).filter(({ path }) => path.endsWith(layer))
      assert.deepEqual(
        asked.map(({ status }) => status),
        [200, 206, 206, 206],
      )
      const reply = await to.request('GET', `/v2/b/large/blobs/${layer}`)
      assert.ok(reply.body.equals(bytes))
    })

    test('asks again after 429 and 5xx, tells of those that stay, and takes the rest', async () => {
      await using to = await startRegistry()
      await using gate = await UpstreamGate.start(async () => ({
        host: upstream.host,
        kill: () => Promise.resolve(),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }))
      const refused = new Map([
        ['blobs', 429],
        ['manifests', 503],
        ['_catalog', 502],
      ])
      gate.answer = ({ path }) => {
        if (path.startsWith('/v2/d/')) return { status: 429, headers: { 'retry-after': '3600' } }
        if (path.startsWith('/v2/e/small/blobs')) return { status: 500 }
        const kind = path.split(/[/?]/).find((part) => refused.has(part)) ?? ''
        const status = refused.get(kind)
        refused.delete(kind)
        return status === undefined ? 'pass' : { status, headers: { 'retry-after': '1' } }
      }
      const first = await mirror(
        gate.host,
        to,
        ...['a/*', 'd/*', 'e/*'].flatMap((pattern) => ['--repository', pattern]),
      )
      assert.equal(first.code, 1, first.stdout)
      assert.deepEqual(refused.size, 0)
      assert.match(first.stdout, /^copied +a\/index:v1 /m)
      assert.match(first.stdout, /^skipped +d\/small .* answered 429 /m)
      assert.match(first.stdout, /^failed +e\/small:v1 .* answered 500 /m)
      assert.match(
        first.stderr,
        /^trow: 2 of \d+ images could not be copied; the lines above say why$/m,
      )
      assert.equal(await digestAt(to, 'a/index', 'v1'), index.root.digest)
      assert.equal(await digestAt(to, 'e/small', 'v1'), 404)

      gate.answer = 'pass'
      const again = await mirror(gate.host, to)
      assert.equal(again.code, 0, again.stdout + again.stderr)
      assert.match(again.stdout, /^present +a\/index:v1$/m)
      assert.equal(await digestAt(to, 'd/small', 'v1'), imageFixture().root.digest)
      assert.equal(await digestAt(to, 'e/small', 'v1'), imageFixture().root.digest)

      gate.answer = { status: 429, headers: { 'retry-after': '3600' } }
      const limited = await mirror(gate.host, to)
      assert.equal(limited.code, 1)
      assert.match(limited.stderr, /answered 429 .*: try again in 3600 s/)
    })

    test('leaves no session behind when it is interrupted', async () => {
      await using to = await startRegistry()
      await using slow = await Relay.start(async () => Number(upstream.host.split(':')[1]))
      slow.haltsAfter = 2 * MB
      const running = startTrow(['mirror', slow.host, '--repository', 'b/large', '--to', to.url])
      await slow.passed('pull', 2 * MB)
      await until('the blob is on its way', async () => (await openUploads(to)) === 1)
      running.signal('SIGINT')
      const { code, stderr } = await running.result
      assert.equal(code, 130, stderr)
      assert.equal(await openUploads(to), 0)
    })

    /** One that is killed when so many bytes have come, and run again; and one that nothing happens to. */
    async function killAndRepeat(
      bytes: number,
      name: string,
      args: (from: string, target: string) => string[],
    ): Promise<{ killed: string; whole: string }> {
      const directory = await mkdtemp(join(temporary.path, 'moved-'))
      const [killed, whole] = [join(directory, 'killed'), join(directory, 'whole')]
      await Promise.all([mkdir(killed), mkdir(whole)])
      await using relay = await Relay.start(async () => Number(upstream.host.split(':')[1]))
      const command = args(relay.host, join(killed, name))
      const running = startTrow(command)
      await relay.passed('pull', bytes)
      running.signal('SIGKILL')
      assert.equal((await running.result).code, null)
      for (const again of [command, args(relay.host, join(whole, name))]) {
        const { code, stdout, stderr } = await runTrow(again)
        assert.equal(code, 0, stdout + stderr)
      }
      return { killed, whole }
    }

    for (const bytes of [0.3 * MB, 6 * MB, 13 * MB]) {
      test(`trow mirror killed after ${bytes / MB} MB completes when run again`, async () => {
        const { killed, whole } = await killAndRepeat(bytes, 'data', (from, target) => {
          return ['mirror', from, '--repository', 'c/many', '--data-dir', target]
        })
        for (const name of ['data/blobs', 'data/uploads']) {
          const [found, expected] = await Promise.all(
            [killed, whole].map((path) => filesOf(join(path, name))),
          )
          assert.deepEqual(found, expected)
        }
        await using registry = await startRegistry({ dataDirectory: join(killed, 'data') })
        for (const [at, image] of many.entries()) {
          assert.equal(await digestAt(registry, 'c/many', `v${at}`), image.root.digest)
        }
        const scrub = await runTrow(['scrub', registry.url])
        assert.equal(scrub.code, 0, scrub.stdout + scrub.stderr)
      })

      test(`trow mirror into a running Trow killed after ${bytes / MB} MB completes when run again`, async () => {
        await using to = await startRegistry()
        await using relay = await Relay.start(async () => Number(upstream.host.split(':')[1]))
        const command = ['mirror', relay.host, '--repository', 'c/many', '--to', to.url]
        const running = startTrow(command)
        await relay.passed('pull', bytes)
        running.signal('SIGKILL')
        assert.equal((await running.result).code, null)
        const again = await runTrow(command)
        assert.equal(again.code, 0, again.stdout + again.stderr)
        for (const [at, image] of many.entries()) {
          assert.equal(await digestAt(to, 'c/many', `v${at}`), image.root.digest)
          for (const { digest, bytes } of image.blobs) {
            const reply = await to.request('GET', `/v2/c/many/blobs/${digest}`)
            assert.ok(reply.body.equals(bytes))
          }
        }
        const scrub = await runTrow(['scrub', to.url])
        assert.equal(scrub.code, 0, scrub.stdout + scrub.stderr)
      })

      for (const name of ['layout', 'images.tar']) {
        test(`trow export to ${name} killed after ${bytes / MB} MB completes when run again`, async () => {
          const { killed, whole } = await killAndRepeat(bytes, name, (from, target) => {
            const images = many.map((_, at) => `${from}/c/many:v${at}`)
            return ['export', ...images, target]
          })
          assert.deepEqual(await filesOf(killed), await filesOf(whole))
        })
      }
    }
  },
)
