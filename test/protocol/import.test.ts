/**
 * `trow import` as a process of its own: a data directory of Trow 0.10 into one of this version and into
 * a running Trow, what is damaged in it, archives made to do harm, and an end in the middle.
 */
import assert from 'node:assert/strict'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import {
  type ImageFixture,
  imageFixture,
  sha256Digest,
  tarArchive,
} from '../support/image-fixture.ts'
import { layoutEntries } from '../support/layout-entries.ts'
import { OldTrow } from '../support/old-trow.ts'
import { runTrow, startTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { until } from '../support/until.ts'

const app = imageFixture({ layers: 2 })
const index = imageFixture({ platforms: ['linux/amd64', 'linux/arm64/v8'], seed: 2 })
const cached = imageFixture({ seed: 3 })
const damaged = imageFixture({ seed: 4 })
const incomplete = imageFixture({ seed: 5 })
const untagged = imageFixture({ seed: 6 })
const platforms = imageFixture({ platforms: ['linux/amd64', 'linux/arm64/v8'], seed: 7 })
const nowhere = `sha256:${'0'.repeat(64)}`

interface Result {
  readonly image: string
  readonly status: string
  readonly message?: string
  readonly report?: Readonly<Record<string, unknown>>
}

async function importJson(
  args: readonly string[],
): Promise<{ code: number | null; results: Result[] }> {
  const { code, stdout, stderr } = await runTrow(['import', ...args, '--json'])
  const lines = stdout.split('\n').filter((line) => line !== '')
  assert.notEqual(lines.length, 0, stderr)
  return { code, results: lines.map((line) => JSON.parse(line) as Result) }
}

function statuses(results: readonly Result[]): Record<string, string> {
  const images = results.filter(({ image }) => image !== undefined)
  return Object.fromEntries(images.map(({ image, status }) => [image, status]))
}

function blobOf({ blobs }: ImageFixture): ImageFixture['blobs'][number] {
  const [, blob] = blobs
  assert.ok(blob)
  return blob
}

/** With everything that such a directory may have in it. */
async function fillOldTrow(old: OldTrow): Promise<void> {
  await old.addImage('team/app', app, 'v1')
  await old.addImage('team/index', index, 'v1')
  await old.addImage('team/untagged', untagged)
  await old.addImage('f/docker.io/library/nginx', cached, '1.29')
  await old.addImage('f/docker.io/library/debian', platforms, '13')
  await old.addImage('team/damaged', damaged, 'v1')
  await writeFile(old.blobPath(blobOf(damaged).digest), Buffer.alloc(blobOf(damaged).bytes.length))
  await old.addImage('team/incomplete', incomplete, 'v1')
  await rm(old.blobPath(blobOf(incomplete).digest))
  old.addTag('team/app', 'lost', nowhere)
  old.addTag('Team/App', 'v1', app.root.digest)
}

async function assertHas(registry: Registry, name: string, image: ImageFixture): Promise<void> {
  const contents = [
    ...image.manifests.map((content) => ({ ...content, kind: 'manifests' })),
    ...image.blobs.map((content) => ({ ...content, kind: 'blobs' })),
  ]
  for (const { kind, digest, bytes } of contents) {
    const reply = await registry.request('GET', `/v2/${name}/${kind}/${digest}`)
    assert.ok(reply.body.equals(bytes), `${name}@${digest}`)
  }
}

async function tagDigest(registry: Registry, name: string, tag: string): Promise<unknown> {
  const reply = await registry.request('HEAD', `/v2/${name}/manifests/${tag}`)
  return reply.headers['docker-content-digest']
}

/** Of the tables that the migrations of each version make, one after the other, in Trow's own repository. */
const schemas = {
  '0.7.0': '451cdefe5bd10a7b80fbc5a31cd10b9b0bcb1773cf144cd32e9f6500c106c48e',
  '0.7.2': 'a922967531566de7e6f99ab64a666dccd51bc1d382ddbd87ed8008f338e40a9a',
  '0.10': 'dcd733283f2dfc2d8452ce031e4aaff7d87b736db8bc5f9274f14cd9cf299820',
} as const

test('the databases that are imported here have the tables of those versions', async () => {
  for (const version of ['0.7.0', '0.7.2', '0.10'] as const) {
    await using temporary = await temporaryDirectory()
    using old = await OldTrow.make(temporary.path, version)
    const described = Buffer.from(JSON.stringify(old.describeTables()))
    assert.equal(sha256Digest(described), `sha256:${schemas[version]}`, version)
  }
})

describe('trow import of a data directory of Trow 0.10', () => {
  for (const version of ['0.7.0', '0.7.2', '0.10'] as const) {
    test(`(as ${version} made it) takes what is whole, names the rest, changes nothing`, async () => {
      await using temporary = await temporaryDirectory()
      const source = join(temporary.path, 'old')
      const target = join(temporary.path, 'new')
      using old = await OldTrow.make(source, version)
      await fillOldTrow(old)
      const before = await readdir(join(source, 'blobs'))
      const { code, results } = await importJson([source, '--data-dir', target])
      assert.equal(code, 1)
      const imported = {
        'team/app:v1': 'imported',
        'team/index:v1': 'imported',
        'f/docker.io/library/nginx:1.29': 'imported',
        'f/docker.io/library/debian:13': 'imported',
        [`team/untagged@${untagged.root.digest}`]: 'imported',
        'team/app:lost': 'failed',
        'team/damaged:v1': 'failed',
        'team/incomplete:v1': 'failed',
        'Team/App:v1': 'skipped',
      }
      assert.deepEqual(statuses(results), imported)
      const reasons = results.map(({ image, message }) => `${image} ${message}`).join('\n')
      assert.match(reasons, new RegExp(`team/damaged:v1 ${blobOf(damaged).digest} is damaged`))
      assert.match(
        reasons,
        new RegExp(`team/incomplete:v1 ${blobOf(incomplete).digest} is missing`),
      )
      assert.match(reasons, new RegExp(`team/app:lost .* no manifest ${nowhere}`))
      assert.deepEqual(await readdir(join(source, 'blobs')), before)

      const again = await importJson([source, '--data-dir', target])
      assert.equal(statuses(again.results)['team/index:v1'], 'present')
      assert.equal(again.results.at(-1)?.report?.['movedSize'], 0)

      await using registry = await startRegistry({ dataDirectory: target })
      await assertHas(registry, 'team/app', app)
      await assertHas(registry, 'team/index', index)
      await assertHas(registry, 'team/untagged', untagged)
      assert.equal(await tagDigest(registry, 'team/index', 'v1'), index.root.digest)
      // Its upstream cannot be reached from here: this is the cached copy.
      await assertHas(registry, 'f/docker.io/library/nginx', cached)
      for (const path of ['manifests/v1', `blobs/${blobOf(damaged).digest}`]) {
        assert.equal((await registry.request('GET', `/v2/team/damaged/${path}`)).status, 404)
      }
    })
  }

  test('takes what a cache has of an image, which seldom are all platforms', async () => {
    await using temporary = await temporaryDirectory()
    const source = join(temporary.path, 'old')
    const target = join(temporary.path, 'new')
    using old = await OldTrow.make(source, '0.10')
    const [amd64, arm64] = platforms.manifests
    assert.ok(amd64 && arm64)
    const name = 'f/docker.io/library/debian'
    await old.addImage(name, platforms, '13')
    old.forgetManifest(arm64.digest)
    await rm(old.blobPath(blobOf(platforms).digest))
    const { code, results } = await importJson([source, '--data-dir', target])
    assert.equal(code, 0, JSON.stringify(results))
    assert.equal(statuses(results)[`${name}:13`], 'imported')
    const again = await importJson([source, '--data-dir', target])
    assert.equal(again.results.at(-1)?.report?.['movedSize'], 0)

    const config = 'registry_proxies: {offline: true}'
    await using registry = await startRegistry({ dataDirectory: target, config })
    const ask = async (path: string) =>
      (await registry.request('GET', `/v2/${name}/${path}`)).status
    assert.equal(await ask('manifests/13'), 200)
    assert.equal(await ask(`manifests/${amd64.digest}`), 200)
    assert.equal(await ask(`manifests/${arm64.digest}`), 404)
    assert.equal(await ask(`blobs/${blobOf(platforms).digest}`), 404)
    const [config0] = platforms.blobs
    assert.equal(await ask(`blobs/${config0?.digest}`), 200)
  })

  test('goes into a running Trow, all but what is cached', async () => {
    await using temporary = await temporaryDirectory()
    using old = await OldTrow.make(temporary.path, '0.10')
    await old.addImage('team/app', app, 'v1')
    await old.addImage('f/docker.io/library/nginx', cached, '1.29')
    const login = { name: 'alice', password: 'secret' }
    await using registry = await startRegistry({ user: login })
    const args = [temporary.path, '--registry', registry.url, '-u', 'alice', '-p', 'secret']
    const { code, results } = await importJson(args)
    assert.equal(code, 1)
    assert.deepEqual(statuses(results), {
      'team/app:v1': 'imported',
      'f/docker.io/library/nginx:1.29': 'skipped',
    })
    await assertHas(registry, 'team/app', app)
  })

  test('says of a dry run what it would do, and does nothing', async () => {
    await using temporary = await temporaryDirectory()
    using old = await OldTrow.make(temporary.path, '0.10')
    await fillOldTrow(old)
    await using registry = await startRegistry()
    const { code, results } = await importJson([
      temporary.path,
      '--registry',
      registry.url,
      '--dry-run',
    ])
    assert.equal(code, 1)
    assert.equal(statuses(results)['team/app:v1'], 'imported')
    assert.equal(statuses(results)['team/incomplete:v1'], 'failed')
    const catalog = await registry.request('GET', '/v2/_catalog')
    assert.deepEqual(JSON.parse(catalog.body.toString()), { repositories: [] })
  })

  test('killed in the middle is taken up again', async () => {
    await using temporary = await temporaryDirectory()
    const source = join(temporary.path, 'old')
    const target = join(temporary.path, 'new')
    using old = await OldTrow.make(source, '0.10')
    const images = Array.from({ length: 30 }, (_, seed) =>
      imageFixture({ layers: 3, layerBytes: 400_000, seed: 100 + seed }),
    )
    for (const [at, image] of images.entries()) await old.addImage('many', image, `v${at}`)
    const running = startTrow(['import', source, '--data-dir', target])
    const blobs = join(target, 'blobs')
    await until('the first blob is there', async () => {
      const entries = await readdir(blobs, { recursive: true, withFileTypes: true }).catch(() => [])
      return entries.some((entry) => entry.isFile())
    })
    running.signal('SIGKILL')
    await running.result
    const { code, results } = await importJson([source, '--data-dir', target])
    assert.equal(code, 0)
    assert.equal(Object.keys(statuses(results)).length, images.length)
    await using registry = await startRegistry({ dataDirectory: target })
    for (const image of images) await assertHas(registry, 'many', image)
  })
})

describe('trow import of an archive', () => {
  test('in gzip goes where --repository says', async () => {
    await using temporary = await temporaryDirectory()
    const archive = join(temporary.path, 'image.tar.gz')
    await writeFile(archive, gzipSync(tarArchive(layoutEntries(app))))
    const target = join(temporary.path, 'data')
    const { code, results } = await importJson([
      archive,
      '--data-dir',
      target,
      '--repository',
      'mine',
    ])
    assert.equal(code, 0)
    assert.deepEqual(statuses(results), { 'mine:v1': 'imported' })
    await using registry = await startRegistry({ dataDirectory: target })
    await assertHas(registry, 'mine', app)
  })

  test('in gzip is unpacked into TMPDIR, which may be the new data directory', async () => {
    await using temporary = await temporaryDirectory()
    const archive = join(temporary.path, 'image.tar.gz')
    await writeFile(archive, gzipSync(tarArchive(layoutEntries(app))))
    const target = join(temporary.path, 'data')
    const args = ['import', archive, '--data-dir', target, '--repository', 'mine']
    const refused = await runTrow(args, { environment: { TMPDIR: target } })
    assert.equal(refused.code, 1, refused.stderr)
    assert.match(
      refused.stderr,
      /cannot be unpacked: ENOENT.*: set TMPDIR to a directory that may be/,
    )
    await mkdir(target)
    const taken = await runTrow(args, { environment: { TMPDIR: target } })
    assert.equal(taken.code, 0, taken.stderr)
    const left = await readdir(target)
    assert.deepEqual(
      left.filter((name) => name.startsWith('trow-import-')),
      [],
    )
  })

  const [first, second] = app.manifests.concat(app.blobs)
  assert.ok(first && second)
  const large = Buffer.alloc(5 * 1024 * 1024, ' ')
  const cases: [string, Buffer, RegExp][] = [
    [
      'an entry that leads out of it',
      tarArchive([{ name: '../../etc/passwd', content: Buffer.from('x') }, ...layoutEntries(app)]),
      /leads out of it: nothing was taken/,
    ],
    [
      'an absolute entry',
      tarArchive([{ name: '/etc/passwd', content: Buffer.from('x') }]),
      /leads out/,
    ],
    [
      'an end in the middle',
      tarArchive(layoutEntries(app)).subarray(0, 4_000),
      /cut off|ends in the middle/,
    ],
    ['no images', tarArchive([{ name: 'readme', content: Buffer.from('x') }]), /not of images/],
    ['no archive', Buffer.alloc(10_000, 'x'), /no tar archive/],
    ['no repository', tarArchive(layoutEntries(app, false)), /--repository NAME/],
    [
      'a manifest with other bytes than its digest says',
      tarArchive(
        layoutEntries(app).map((entry) =>
          entry.name.endsWith(first.digest.slice(7)) ? { ...entry, content: second.bytes } : entry,
        ),
      ),
      /is damaged: its bytes are those of/,
    ],
    [
      'a huge manifest',
      tarArchive(
        layoutEntries({
          ...app,
          root: { ...app.root, digest: sha256Digest(large), size: large.length },
        }).concat({
          name: `blobs/sha256/${sha256Digest(large).slice(7)}`,
          content: large,
        }),
      ),
      /has 5242880 bytes, more than 4194304/,
    ],
  ]
  for (const [name, bytes, problem] of cases) {
    test(`with ${name} says so`, async () => {
      await using temporary = await temporaryDirectory()
      const archive = join(temporary.path, 'image.tar')
      await writeFile(archive, bytes)
      const { code, stdout, stderr } = await runTrow([
        'import',
        archive,
        '--data-dir',
        join(temporary.path, 'data'),
      ])
      assert.equal(code, 1, stdout + stderr)
      assert.match(stdout + stderr, problem)
      assert.doesNotMatch(stderr, /at .*\.ts:/)
    })
  }
})

describe('trow import', () => {
  test('does not take any directory for a source, nor for a data directory', async () => {
    await using temporary = await temporaryDirectory()
    await mkdir(join(temporary.path, 'other'))
    await writeFile(join(temporary.path, 'other', 'file'), 'x')
    const other = join(temporary.path, 'other')
    const none = await runTrow(['import', other, '--data-dir', join(temporary.path, 'new')])
    assert.equal(none.code, 1)
    assert.match(none.stderr, /no source of images/)
    using old = await OldTrow.make(join(temporary.path, 'old'), '0.10')
    const target = await runTrow(['import', old.directory, '--data-dir', other])
    assert.equal(target.code, 1)
    assert.match(target.stderr, /neither empty nor a data directory/)
  })
})
