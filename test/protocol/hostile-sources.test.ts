/**
 * What was made to do harm, given to `trow import` and `trow restore`: links, devices and names that
 * lead out, compressed bombs, archives and documents without end. Each is refused with what is wrong,
 * in bounded memory and disk, and nothing but the target is touched.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { link, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { takeSnapshot } from '../support/directory-snapshot.ts'
import {
  imageFixture,
  sha256Digest,
  storedLayer,
  tarArchive,
  type TarEntry,
} from '../support/image-fixture.ts'
import { layoutEntries } from '../support/layout-entries.ts'
import { OldTrow } from '../support/old-trow.ts'
import { type CommandResult, feedTrow, runTrow } from '../support/run-command.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const MiB = 1024 * 1024
const app = imageFixture()
const [config, layer] = app.blobs
const [manifest] = app.manifests
assert.ok(config && layer && manifest)
const hexOf = (digest: string): string => digest.slice('sha256:'.length)
const blobPath = (digest: string): string => `blobs/sha256/${hexOf(digest)}`

/** What is not the source's to give; so that it could pass for a layer, an archive in gzip. */
const secret = storedLayer([{ name: 'secret', content: Buffer.from('of somebody else') }])

/** Memory that no hostile source makes it exceed. */
const environment = { NODE_OPTIONS: '--max-old-space-size=400' }

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** The layout of `app`, with one file replaced. */
function replaced(name: string, entry: Partial<TarEntry>): TarEntry[] {
  return layoutEntries(app).map((other) => (other.name === name ? { name, ...entry } : other))
}

/** As `docker save` wrote it before docker 25. */
function dockerEntries(layers: unknown, diffIds: unknown): TarEntry[] {
  return [
    {
      name: 'manifest.json',
      content: json([{ Config: 'config.json', Layers: layers, RepoTags: ['team/app:v1'] }]),
    },
    { name: 'config.json', content: json({ rootfs: { type: 'layers', diff_ids: diffIds } }) },
  ]
}

/** In a directory of its own, beside something that is to stay as it is. */
async function attempt(make: (directory: string) => Promise<string> | string, ...flags: string[]) {
  await using temporary = await temporaryDirectory()
  const outside = join(temporary.path, 'outside')
  await mkdir(outside)
  await writeFile(join(outside, 'secret'), secret.bytes)
  const directory = join(temporary.path, 'source')
  await mkdir(directory)
  const source = await make(directory)
  const before = await takeSnapshot(outside)
  const data = join(temporary.path, 'data')
  const done = await runTrow(['import', source, '--data-dir', data, ...flags], { environment })
  assert.deepEqual(await takeSnapshot(outside), before)
  const beside = (await readdir(temporary.path)).filter((name) => name !== 'data')
  assert.deepEqual(beside.toSorted(), ['outside', 'source'])
  const stored = await readdir(join(data, 'blobs'), { recursive: true }).catch(() => [])
  assert.ok(!stored.some((name) => name.endsWith(hexOf(sha256Digest(secret.bytes)))))
  return done
}

function assertRefused({ code, stdout, stderr }: CommandResult, message: RegExp): void {
  assert.equal(code, 1, `${code} ${stdout.slice(0, 1000)} ${stderr.slice(0, 1000)}`)
  assert.match(stdout + stderr, message)
  assert.doesNotMatch(stderr, /at .*\.ts:/)
  assert.ok(stdout.length + stderr.length < 10_000)
}

describe('trow import of an archive with', () => {
  const cases: [string, TarEntry[], RegExp][] = [
    [
      'a symbolic link out of it for a blob',
      replaced(blobPath(layer.digest), { type: '2', link: '../../../outside/secret' }),
      /failed .*is missing/,
    ],
    [
      'an absolute symbolic link for a blob',
      replaced(blobPath(layer.digest), { type: '2', link: '/etc/passwd' }),
      /failed .*is missing/,
    ],
    [
      'a symbolic link to itself',
      replaced('index.json', { type: '2', link: 'index.json' }),
      /not of images: no index\.json/,
    ],
    [
      'a hard link out of it',
      replaced(blobPath(layer.digest), { type: '1', link: '../outside/secret' }),
      /entry "\.\.\/outside\/secret", which leads out/,
    ],
    [
      'a device for a blob',
      replaced(blobPath(layer.digest), { type: '3' }),
      new RegExp(`failed .*${layer.digest} is missing`),
    ],
    ['a pipe for its index', replaced('index.json', { type: '6' }), /not of images/],
    [
      'a path without end',
      [{ name: 'x', type: 'L', content: Buffer.alloc(5_000, 'a') }, ...layoutEntries(app)],
      /a path of 5000 characters: "aaa/,
    ],
    [
      'a name that controls the terminal',
      [{ name: '../\u001b[2J', content: Buffer.from('x') }],
      /entry "\.\.\/\\u001b\[2J", which leads out/,
    ],
    [
      'a blob that is not what its name says',
      replaced(blobPath(layer.digest), { content: Buffer.alloc(layer.bytes.length) }),
      new RegExp(`failed .*${layer.digest} is damaged: its bytes are those of`),
    ],
    [
      'a manifest of docker with a layer outside',
      dockerEntries(['../outside/secret'], [secret.diffId]),
      /skipped .*\.\.\/outside\/secret is missing/,
    ],
    [
      'a manifest of docker whose layers are no paths',
      dockerEntries([{ toString: 1 }], ['x']),
      /has no Config and Layers/,
    ],
    [
      'a manifest of docker with layers that are no end',
      dockerEntries(
        Array.from({ length: 500_000 }, () => 'config.json'),
        [],
      ),
      /more than 1000/,
    ],
    [
      'diff_ids that are no texts',
      dockerEntries(['config.json'], [{ toString: 1 }]),
      /has no rootfs\.diff_ids/,
    ],
    [
      'a huge index',
      replaced('index.json', { content: Buffer.alloc(17 * MiB, ' ') }),
      /index\.json has \d+ bytes, more than \d+/,
    ],
    [
      'millions of entries in its index',
      replaced('index.json', {
        content: Buffer.from(`{"manifests":[${'{},'.repeat(4_000_000)}{}]}`),
      }),
      /index\.json lists more than \d+ manifests/,
    ],
    [
      'a deep index',
      replaced('index.json', { content: Buffer.alloc(8 * MiB, '[') }),
      /index\.json is no JSON/,
    ],
    [
      'an index that is deep and whole',
      replaced('index.json', {
        content: Buffer.from(`{"manifests":${'['.repeat(2 * MiB)}${']'.repeat(2 * MiB)}}`),
      }),
      /an entry has no valid sha256 or sha512 digest/,
    ],
  ]
  for (const [name, entries, message] of cases) {
    test(name, async () => {
      const done = await attempt(async (directory) => {
        const archive = join(directory, 'image.tar')
        await writeFile(archive, tarArchive(entries))
        return archive
      })
      assertRefused(done, message)
    })
  }

  test('a deep manifest', async () => {
    const bytes = Buffer.from(
      `{"schemaVersion":2,"config":${'{"a":'.repeat(500_000)}1${'}'.repeat(500_000)}}`,
    )
    const root = { ...app.root, digest: sha256Digest(bytes), size: bytes.length }
    const deep = { blobs: [], manifests: [{ ...root, bytes }], root }
    const done = await attempt(async (directory) => {
      await writeFile(join(directory, 'image.tar'), tarArchive(layoutEntries(deep)))
      return join(directory, 'image.tar')
    })
    assertRefused(done, /failed .*manifest invalid: /)
  })

  test('far more bytes than it has', async (t) => {
    using disk = await mountSmallDisk(t, 'size=32m')
    if (disk === undefined) return
    const bomb = gzipSync(
      Buffer.concat([tarArchive(layoutEntries(app)).subarray(0, -1024), Buffer.alloc(256 * MiB)]),
    )
    const bombs = { TMPDIR: disk.path, ...environment }
    await using temporary = await temporaryDirectory()
    const archive = join(temporary.path, 'bomb.tar.gz')
    await writeFile(archive, bomb)
    const done = await runTrow(['import', archive, '--data-dir', join(temporary.path, 'data')], {
      environment: bombs,
    })
    assertRefused(
      done,
      /cannot be unpacked into .*it has more than the \d+ bytes that may be taken there/,
    )
    assert.deepEqual(await readdir(disk.path), [])
    assert.deepEqual(await readdir(temporary.path), ['bomb.tar.gz'])
  })
})

describe('trow import of a directory with', () => {
  async function unpack(directory: string, entries: readonly TarEntry[]): Promise<void> {
    for (const { name, content = Buffer.of() } of entries) {
      await mkdir(dirname(join(directory, name)), { recursive: true })
      await writeFile(join(directory, name), content)
    }
  }

  const outsideCases: [string, (directory: string) => Promise<void>, RegExp][] = [
    [
      'a symbolic link out of it for a layer',
      async (directory) => {
        await unpack(directory, dockerEntries(['layer.tar'], [secret.diffId]))
        await symlink('../outside/secret', join(directory, 'layer.tar'))
      },
      /skipped +team\/app:v1 +"layer\.tar" leads out of .*source: it is not read/,
    ],
    [
      'a symbolic link out of it for a directory',
      async (directory) => {
        await unpack(directory, dockerEntries(['layers/secret'], [secret.diffId]))
        await symlink('../outside', join(directory, 'layers'))
      },
      /"layers\/secret" leads out/,
    ],
    [
      'a path out of it',
      async (directory) => {
        await unpack(directory, dockerEntries(['../outside/secret'], [secret.diffId]))
      },
      /"\.\.\/outside\/secret" leads out/,
    ],
    [
      'an index that is a link out of it',
      async (directory) => {
        await unpack(directory, layoutEntries(app))
        await rm(join(directory, 'index.json'))
        await symlink('/etc/passwd', join(directory, 'index.json'))
      },
      /"index\.json" leads out/,
    ],
    [
      'a pipe for a blob',
      async (directory) => {
        await unpack(directory, layoutEntries(app))
        await rm(join(directory, blobPath(layer.digest)))
        execFileSync('mkfifo', [join(directory, blobPath(layer.digest))])
      },
      new RegExp(`failed .*${layer.digest} is missing`),
    ],
    [
      'a link to itself',
      async (directory) => {
        await unpack(directory, layoutEntries(app))
        await rm(join(directory, blobPath(layer.digest)))
        await symlink(hexOf(layer.digest), join(directory, blobPath(layer.digest)))
      },
      /failed .*ELOOP/,
    ],
  ]
  for (const [name, make, message] of outsideCases) {
    test(name, async () => {
      const done = await attempt(async (directory) => {
        await make(directory)
        return directory
      })
      assertRefused(done, message)
    })
  }

  test('links inside of it, which are followed', async () => {
    const done = await attempt(async (directory) => {
      await unpack(directory, layoutEntries(app))
      for (const [at, { digest, bytes }] of app.blobs.entries()) {
        const [path, kept] = [join(directory, blobPath(digest)), join(directory, `kept-${at}`)]
        await rm(path)
        await writeFile(kept, bytes)
        await (at === 0 ? symlink(kept, path) : link(kept, path))
      }
      return directory
    })
    assert.equal(done.code, 0, done.stdout + done.stderr)
  })

  test('links of distribution that lead out or are no links', async () => {
    const done = await attempt(async (directory) => {
      const tags = join(directory, 'repositories/team/app/_manifests/tags')
      for (const tag of ['out', 'large', 'v1'])
        await mkdir(join(tags, tag, 'current'), { recursive: true })
      await symlink('/etc/passwd', join(tags, 'out/current/link'))
      await writeFile(join(tags, 'large/current/link'), Buffer.alloc(MiB, 'x'))
      await writeFile(join(tags, 'v1/current/link'), app.root.digest)
      for (const { digest, bytes } of [...app.blobs, ...app.manifests]) {
        const blob = join(directory, 'blobs/sha256', hexOf(digest).slice(0, 2), hexOf(digest))
        await mkdir(blob, { recursive: true })
        await writeFile(join(blob, 'data'), bytes)
      }
      return directory
    })
    assertRefused(done, /skipped +team\/app:out .*leads out/)
    assert.match(done.stdout, /skipped +team\/app:large .*has 1048576 bytes, more than 256/)
    assert.match(done.stdout, /imported +team\/app:v1/)
  })

  test('a database of Trow 0.10 whose rows are anything', async () => {
    const done = await attempt(async (directory) => {
      using old = await OldTrow.make(directory, '0.10')
      await old.addImage('team/app', app, 'v1')
      const database = new DatabaseSync(join(directory, 'trow.db'))
      database.exec(`ALTER TABLE tag RENAME TO old_tag; CREATE TABLE tag (tag, repo, manifest_digest);
        INSERT INTO tag SELECT tag, repo, manifest_digest FROM old_tag;
        INSERT INTO tag VALUES ('v2', 7, x'00'), (x'ff', 'team/app', NULL), ('v3', '../../etc', '${app.root.digest}')`)
      database.close()
      return directory
    })
    assertRefused(done, /skipped +trow\.db +an entry is no text/)
    assert.match(done.stdout, /skipped +\.\.\/\.\.\/etc:v3/)
    assert.match(done.stdout, /imported +team\/app:v1/)
  })
})

describe('trow restore of an archive', () => {
  // After what lets the restore begin.
  const mark = { name: 'backup.json', content: Buffer.from('{"backup":1}') }
  const cases: [string, TarEntry, RegExp][] = [
    [
      'with an entry that leads out',
      { name: '../outside', content: Buffer.from('x') },
      /no backup: "\.\.\/outside" is outside of it/,
    ],
    [
      'with an absolute entry',
      { name: '/etc/passwd', content: Buffer.from('x') },
      /"\/etc\/passwd" is outside of it/,
    ],
    [
      'with a symbolic link',
      { name: 'metadata.db', type: '2', link: '/etc/passwd' },
      /"metadata\.db" is a symlink/,
    ],
    [
      'with a hard link',
      { name: 'token.key', type: '1', link: '/etc/passwd' },
      /"token\.key" is a link/,
    ],
    ['with a device', { name: 'metadata.db', type: '3' }, /"metadata\.db" is a character-device/],
    [
      'with a huge file',
      { name: 'token.key', content: Buffer.alloc(4 * MiB) },
      /token\.key of the backup has 4194304 bytes, too many/,
    ],
    [
      'whose header has no end',
      { name: 'x', type: 'x', content: Buffer.alloc(32 * MiB, 'a') },
      /the archive cannot be read: .*header/i,
    ],
  ]
  for (const [name, entry, message] of cases) {
    test(`${name} is refused`, async () => {
      const archive = tarArchive([mark, entry])
      await using temporary = await temporaryDirectory()
      const data = join(temporary.path, 'data')
      const done = await feedTrow(['restore', '-', '--data-dir', data], Readable.from([archive]), {
        environment,
      })
      assertRefused(done, message)
      assert.deepEqual(await readdir(temporary.path), ['data'])
    })
  }

  test('larger than the disk says so, and leaves it as it was', async (t) => {
    using disk = await mountSmallDisk(t, 'size=16m')
    if (disk === undefined) return
    const name = `blobs/sha256/00/${'0'.repeat(64)}`
    const archive = tarArchive([{ name, content: Buffer.alloc(64 * MiB) }])
    const data = join(disk.path, 'data')
    const done = await feedTrow(['restore', '-', '--data-dir', data], Readable.from([archive]), {
      environment,
    })
    assertRefused(done, /has 67108864 bytes, and .* has room for \d+: .* make room/)
    assert.ok(disk.freeBytes > 14 * MiB)
  })

  test('made by hand of a backup is taken', async () => {
    await using temporary = await temporaryDirectory()
    await using registry = await startRegistry()
    await registry.push('team/app', 'v1', app)
    const backup = join(temporary.path, 'backup')
    assert.equal((await runTrow(['backup', backup, '--data-dir', registry.dataDirectory])).code, 0)
    const archive = join(temporary.path, 'backup.tar')
    execFileSync('tar', ['-C', backup, '-cf', archive, '.'])
    const done = await runTrow(['restore', archive, '--data-dir', join(temporary.path, 'data')])
    assert.equal(done.code, 0, done.stderr)
  })
})
