/**
 * `trow mirror` and `trow export` as processes, from one Trow into another and into layouts: which
 * images come along, that nothing is sent twice, and that `trow import` reads what was exported.
 */
import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { imageFixture } from '../support/image-fixture.ts'
import { type CommandResult, runTrow } from '../support/run-command.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const index = imageFixture({ platforms: ['linux/amd64', 'linux/arm64/v8'], seed: 2 })
const other = imageFixture({ seed: 3 })
const signature = imageFixture({ seed: 4, subject: index.root })
const source = { name: 'alice', password: 'secret' }
const target = { name: 'bob', password: 'other' }
const login = ['-u', source.name, '-p', source.password]

let from: Registry
let to: Registry

before(async () => {
  ;[from, to] = await Promise.all([
    startRegistry({ user: source }),
    startRegistry({ user: target }),
  ])
  await from.push('team/index', 'v1', index)
  await from.push('team/index', 'old', other)
  await from.push('other', 'v1', other)
  for (const blob of signature.blobs) await from.pushBlob('team/index', blob)
  for (const manifest of signature.manifests) {
    await from.pushManifest('team/index', manifest.digest, manifest)
  }
})
after(async () => {
  await from[Symbol.asyncDispose]()
  await to[Symbol.asyncDispose]()
})

function mirror(...args: string[]): Promise<CommandResult> {
  const toFlags = ['--to', to.url, '--to-user', target.name, '--to-password', target.password]
  return runTrow(['mirror', from.url, ...login, ...toFlags, ...args])
}

async function digestAt(registry: Registry, repository: string, reference: string) {
  const reply = await registry.request('HEAD', `/v2/${repository}/manifests/${reference}`)
  return reply.status === 200 ? reply.headers['docker-content-digest'] : reply.status
}

describe('trow mirror', () => {
  test('takes the signatures that cosign keeps under tags along with what they are for', async () => {
    const signed = imageFixture({ seed: 5 })
    const signatureTag = (digest: string): string => `${digest.replace(':', '-')}.sig`
    await from.push('signed', 'v1', signed)
    await from.push('signed', signatureTag(signed.root.digest), imageFixture({ seed: 6 }))
    await from.push('signed', signatureTag(other.root.digest), imageFixture({ seed: 7 }))
    const { code, stdout, stderr } = await mirror('--repository', 'signed', '--tag', 'v*')
    assert.equal(code, 0, stderr)
    assert.match(stdout, /2 images: 2 copied/)
    const found = await digestAt(to, 'signed', signatureTag(signed.root.digest))
    assert.equal(found, imageFixture({ seed: 6 }).root.digest)
    assert.equal(await digestAt(to, 'signed', signatureTag(other.root.digest)), 404)
    for (const registry of [from, to]) await registry.request('DELETE', '/api/repositories/signed')
  })

  test('copies what fits its patterns, with platforms and referrers, once', async () => {
    const dry = await mirror('--repository', 'team/*', '--tag', 'v*', '--dry-run')
    assert.equal(dry.code, 0, dry.stderr)
    assert.match(dry.stdout, /copied +team\/index:v1 .*\n1 image: 1 would be copied/)
    assert.equal(await digestAt(to, 'team/index', 'v1'), 404)

    const first = await mirror('--repository', 'team/*', '--tag', 'v*')
    assert.equal(first.code, 0, first.stderr)
    assert.equal(await digestAt(to, 'team/index', 'v1'), index.root.digest)
    assert.equal(await digestAt(to, 'team/index', signature.root.digest), signature.root.digest)
    assert.equal(await digestAt(to, 'team/index', 'old'), 404)
    assert.equal(await digestAt(to, 'other', 'v1'), 404)
    for (const { digest } of index.manifests) {
      assert.equal(await digestAt(to, 'team/index', digest), digest)
    }

    const again = await mirror('--repository', 'team/*', '--tag', 'v*')
    assert.match(again.stdout, /0 copied, 1 already there; 0 B moved\n$/)
    const all = await mirror()
    assert.match(all.stdout, /3 images: 2 copied, 1 already there/)
    assert.equal(await digestAt(to, 'other', 'v1'), other.root.digest)
  })

  test('says what is wrong with the login of either side', async () => {
    const here = await runTrow(['mirror', from.url, '--to', to.url])
    assert.equal(here.code, 1)
    assert.match(here.stderr, /log in with -u USER/)
    const there = await runTrow(['mirror', from.url, ...login, '--to', to.url])
    assert.equal(there.code, 1)
    assert.match(there.stdout, /failed .*team\/index:v1/)
  })

  test('takes more tags than there are on a page', async () => {
    const names = Array.from({ length: 1_100 }, (_, at) => `t${String(at).padStart(4, '0')}`)
    const [manifest] = other.manifests
    assert.ok(manifest)
    await from.push('paged', 't0000', other)
    for (let at = 0; at < names.length; at += 10) {
      const query = names.slice(at, at + 10).map((name) => `tag=${name}`)
      await from.pushManifest('paged', `t0000?${query.join('&')}`, manifest)
    }
    const { code, stdout, stderr } = await mirror('--repository', 'paged', '--dry-run')
    assert.equal(code, 0, stdout.slice(0, 500) + stderr)
    assert.match(stdout, /1100 images: 1100 would be copied, 0 already there/)
  })
})

describe('trow export', () => {
  for (const name of ['layout', 'layout.tar']) {
    test(`to ${name} is what trow import takes`, async () => {
      await using temporary = await temporaryDirectory()
      const path = join(temporary.path, name)
      const references = [`${from.host}/team/index:v1`, `${from.host}/other:v1`]
      const args = ['export', ...references, path, '--referrers', ...login]
      const exported = await runTrow(args)
      assert.equal(exported.code, 0, exported.stdout + exported.stderr)
      assert.deepEqual(await readdir(temporary.path), [name])
      const data = join(temporary.path, 'data')
      const imported = await runTrow(['import', path, '--data-dir', data])
      assert.equal(imported.code, 0, imported.stdout + imported.stderr)
      await using registry = await startRegistry({ dataDirectory: data })
      assert.equal(await digestAt(registry, 'team/index', 'v1'), index.root.digest)
      assert.equal(await digestAt(registry, 'other', 'v1'), other.root.digest)
      if (name === 'layout.tar') return
      const again = await runTrow(args)
      assert.match(again.stdout, /0 exported, 2 already there; 0 B moved/)
      const document = JSON.parse(await readFile(join(path, 'index.json'), 'utf8')) as {
        manifests: { digest: string }[]
      }
      const digests = document.manifests.map(({ digest }) => digest)
      const expected = [index.root.digest, other.root.digest, signature.root.digest]
      assert.deepEqual(digests.toSorted(), expected.toSorted())
    })
  }
  test('lists a signature that a crash left unlisted', async () => {
    await using temporary = await temporaryDirectory()
    const path = join(temporary.path, 'layout')
    const args = ['export', `${from.host}/team/index:v1`, path, '--referrers', ...login]
    assert.equal((await runTrow(args)).code, 0)
    const file = join(path, 'index.json')
    const whole = await readFile(file, 'utf8')
    const index = JSON.parse(whole) as { manifests: { digest: string }[] }
    const manifests = index.manifests.filter(({ digest }) => digest !== signature.root.digest)
    await writeFile(file, JSON.stringify({ ...index, manifests }))
    assert.equal((await runTrow(args)).code, 0)
    assert.equal(await readFile(file, 'utf8'), whole)
  })

  test('to an archive takes up what an earlier one had, and only what it is asked for', async () => {
    await using temporary = await temporaryDirectory()
    const target = join(temporary.path, 'app.tar')
    const working = join(temporary.path, '.app.tar.trow-export')
    const [first, second] = ['team/index:v1', 'other:v1'].map((name) => `${from.host}/${name}`)
    assert.equal((await runTrow(['export', first ?? '', working, ...login])).code, 0)
    const exported = await runTrow(['export', second ?? '', target, ...login])
    assert.equal(exported.code, 0, exported.stderr)
    assert.deepEqual(await readdir(temporary.path), ['app.tar'])
    const fresh = join(temporary.path, 'fresh.tar')
    assert.equal((await runTrow(['export', second ?? '', fresh, ...login])).code, 0)
    assert.ok((await readFile(target)).equals(await readFile(fresh)))

    assert.equal((await runTrow(['export', first ?? '', working, ...login])).code, 0)
    const again = await runTrow(['export', first ?? '', target, ...login])
    assert.match(again.stdout, /1 exported, 0 already there; 0 B moved/)
  })
})
