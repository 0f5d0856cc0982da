import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { renderTree } from '../../../src/cli/tree.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import { failing } from '../../support/fake-upstream-behaviours.ts'
import { imageFixture } from '../../support/image-fixture.ts'
import { runCommand } from '../../support/run-command.ts'

const index = imageFixture({ platforms: ['linux/amd64', 'linux/arm64/v8'] })
const docker = imageFixture({ mediaTypes: 'docker', seed: 2 })
const signature = imageFixture({ seed: 3, layers: 1, layerBytes: 0, subject: index.root })
const [amd64, arm64] = index.manifests

async function startUpstream(): Promise<FakeUpstream> {
  const upstream = await FakeUpstream.start()
  upstream.content
    .addImage('team/app', index, '1.0', 'latest')
    .addImage('team/app', signature)
    .addImage('docker', docker, 'latest')
  return upstream
}

describe('trow inspect', () => {
  test('shows an index with its images, their config and layers, and its referrers', async () => {
    await using upstream = await startUpstream()
    const { code, stdout, stderr } = await runCommand(['inspect', `${upstream.host}/team/app`])
    assert.equal(stderr, '')
    assert.equal(code, 0)
    const lines = stdout.split('\n')
    assert.equal(lines[0], `${upstream.host}/team/app:latest`)
    const expected = [
      `digest      ${index.root.digest}`,
      `media type  ${index.root.mediaType}`,
      'content     278 kB in 2 manifests',
      `├─ linux/amd64     ${amd64!.digest}  139 kB`,
      `├─ linux/arm64/v8  ${arm64!.digest}  139 kB`,
      '│  │  ├─ created  2024-01-01T00:00:00Z',
      '│  │  ├─ cmd      ["/bin/sh"]',
      '│  │  └─ env      1 variable',
      '└─ 1 referrer',
    ]
    for (const line of expected) assert.ok(lines.includes(line), `${line}\nis not in\n${stdout}`)
    for (const { digest } of [...index.blobs, signature.root]) assert.ok(stdout.includes(digest))
  })

  test('--json prints the whole tree, with bytes', async () => {
    await using upstream = await startUpstream()
    const { stdout } = await runCommand(['inspect', '--json', `${upstream.host}/team/app:1.0`])
    const tree = JSON.parse(stdout)
    assert.equal(tree.reference, `${upstream.host}/team/app:1.0`)
    assert.equal(tree.digest, index.root.digest)
    assert.equal(tree.size, index.root.size)
    assert.equal(
      tree.contentSize,
      index.blobs.reduce((sum, { bytes }) => sum + bytes.length, 0),
    )
    assert.equal(tree.manifests.length, 2)
    const [, child] = tree.manifests
    assert.equal(child.platform, 'linux/arm64/v8')
    assert.equal(child.config.envCount, 1)
    const { layers } = JSON.parse(arm64!.bytes.toString())
    assert.deepEqual(child.layers, layers)
    assert.equal(tree.referrers[0].digest, signature.root.digest)
  })

  test('--raw prints the exact bytes and asks for nothing else', async () => {
    await using upstream = await startUpstream()
    const args = ['inspect', '--raw', `http://${upstream.host}/team/app`]
    const { stdoutBytes } = await runCommand(args)
    assert.deepEqual(stdoutBytes, index.manifests.at(-1)!.bytes)
    assert.equal(upstream.requests.length, 1)
  })

  test('--raw prints a manifest that makes no sense, which cannot be shown otherwise', async () => {
    await using upstream = await startUpstream()
    const bytes = Buffer.from('{"layers": "none"}\n')
    const { mediaType } = docker.root
    const manifest = { bytes, mediaType, digest: digestOf(bytes) }
    upstream.content.addManifest('docker', manifest, 'odd')
    const name = `${upstream.host}/docker:odd`
    assert.deepEqual((await runCommand(['inspect', '--raw', name])).stdoutBytes, bytes)
    const { code, stderr } = await runCommand(['inspect', name])
    assert.equal(code, 1)
    assert.match(stderr, /manifest invalid: config is not a descriptor object\n$/)
  })

  test('--platform picks one image of an index, with or without variant', async () => {
    await using upstream = await startUpstream()
    for (const platform of ['linux/arm64', 'linux/arm64/v8']) {
      const args = ['inspect', '--raw', '--platform', platform, `${upstream.host}/team/app`]
      assert.deepEqual((await runCommand(args)).stdoutBytes, arm64!.bytes)
    }
  })

  test('--platform that is not there names those that are', async () => {
    await using upstream = await startUpstream()
    for (const [platform, offer] of [
      ['linux/s390x', /there is linux\/amd64, linux\/arm64\/v8$/m],
      ['linux/arm64/v7', /there is no image for linux\/arm64\/v7/],
    ] as const) {
      const args = ['inspect', '--platform', platform, `${upstream.host}/team/app`]
      const { code, stderr } = await runCommand(args)
      assert.equal(code, 1)
      assert.match(stderr, offer)
    }
  })

  test('--platform is checked against the config of a single image', async () => {
    await using upstream = await startUpstream()
    const args = ['inspect', `${upstream.host}/docker`, '--platform']
    assert.equal((await runCommand([...args, 'linux/amd64'])).code, 0)
    assert.equal((await runCommand([...args, 'linux/arm64'])).code, 1)
  })

  test('shows docker’s types as they are, and takes a digest', async () => {
    await using upstream = await startUpstream()
    const name = `${upstream.host}/docker@${docker.root.digest}`
    const { stdout } = await runCommand(['inspect', name])
    assert.match(stdout, /application\/vnd\.docker\.distribution\.manifest\.v2\+json/)
    assert.match(stdout, /platform {4}linux\/amd64/)
    assert.match(stdout, /content {5}139 kB in 2 layers/)
  })

  test('goes on where an image of the index or the referrers cannot be read', async () => {
    await using upstream = await startUpstream()
    upstream.use(failing(404, 'MANIFEST_UNKNOWN'), { on: new RegExp(arm64!.digest) })
    upstream.use(failing(403, 'DENIED'), { on: /referrers/ })
    const name = `${upstream.host}/team/app`
    const { code, stdout, stderr } = await runCommand(['inspect', name])
    assert.equal(code, 0)
    assert.match(stdout, /linux\/arm64\/v8 .* -\n.*not readable: .*404/)
    assert.match(stderr, /the referrers could not be read/)
    const json = JSON.parse((await runCommand(['inspect', '--json', name])).stdout)
    assert.equal(json.referrers, null)
    assert.match(json.manifests[1].error, /404/)
  })

  test('cannot be made to write control sequences by an image', async () => {
    await using upstream = await startUpstream()
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const { bytes: original } = imageFixture().manifests[0]!
    const document = JSON.parse(original.toString())
    const annotations = { '\u001b[31mkey\n': '\u001b]0;title\u0007\u009b2J' }
    const bytes = Buffer.from(JSON.stringify({ ...document, annotations }))
    upstream.content.addImage('evil', imageFixture())
    upstream.content.addManifest('evil', { bytes, mediaType, digest: digestOf(bytes) }, 'latest')
    const { stdout } = await runCommand(['inspect', `${upstream.host}/evil`])
    // oxlint-disable-next-line no-control-regex
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    assert.match(stdout, /annotations\n.*key.*title/)
  })

  const failures: [what: string, path: string, message: RegExp][] = [
    ['a tag', 'team/app:nope', /team\/app has no nope; trow ls .*\/team\/app lists its tags/],
    ['a repository', 'nope', /has no repository nope; trow ls .* lists those it has/],
  ]
  for (const [what, path, message] of failures) {
    test(`of ${what} that is not there says where to look`, async () => {
      await using upstream = await startUpstream()
      const { code, stderr } = await runCommand(['inspect', `${upstream.host}/${path}`])
      assert.equal(code, 1)
      assert.match(stderr, message)
    })
  }

  const usages: [what: string, args: string[], message: RegExp][] = [
    ['no reference', [], /missing required argument/],
    ['an impossible reference', ['a b'], /invalid image reference "a b"/],
    ['--raw with --json', ['a', '--raw', '--json'], /cannot be used with/],
    ['an impossible platform', ['a', '--platform', 'linux'], /no platform/],
    ['a platform with too many parts', ['a', '--platform', 'a/b/c/d'], /no platform/],
  ]
  for (const [what, args, message] of usages) {
    test(`with ${what} ends with exit code 2`, async () => {
      const { code, stderr } = await runCommand(['inspect', ...args])
      assert.equal(code, 2)
      assert.match(stderr, message)
    })
  }
})

test('a tree is drawn with its siblings’ cells aligned', () => {
  const lines = renderTree([
    { cells: ['a', 'x', '1'], children: [{ cells: ['alone'] }, { cells: ['b', 'y'] }] },
    { cells: ['longer', 'z', '2'] },
    { cells: ['a sentence of its own'], children: [{ cells: ['c'] }] },
  ])
  assert.deepEqual(lines, [
    '├─ a       x  1',
    '│  ├─ alone',
    '│  └─ b  y',
    '├─ longer  z  2',
    '└─ a sentence of its own',
    '   └─ c',
  ])
})
