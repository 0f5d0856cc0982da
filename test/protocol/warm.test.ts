/**
 * `trow warm` with a real Trow in front of a scripted upstream: what it has Trow fetch and what not,
 * what it says, and that what was warmed is there when its upstream is gone.
 */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { corrupting, failing, Gate, holding } from '../support/fake-upstream-behaviours.ts'
import { type ImageFixture, imageFixture } from '../support/image-fixture.ts'
import { proxyConfig, type Scene, startScene } from '../support/pull-through.ts'
import { type CommandResult, runTrow, startTrow } from '../support/run-command.ts'
import { startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { until } from '../support/until.ts'

const single = imageFixture({ layers: 2, layerBytes: 200_000 })
const index = imageFixture({ platforms: ['linux/amd64', 'linux/arm64/v8', 'linux/s390x'], seed: 2 })
const other = imageFixture({ seed: 3 })
/** Part of util-linux: a file that grows further than it allows fails as on a full disk. */
const noPrlimit = spawnSync('prlimit', ['--version']).error !== undefined && 'no prlimit here'
const amd64 = ['--platform', 'linux/amd64']

interface Result {
  readonly image: string
  readonly status: string
  readonly digest?: string
  readonly platforms?: readonly string[]
  readonly size?: number
  readonly fetchedSize?: number
  readonly message?: string
}

async function startWithImages(options: Parameters<typeof startScene>[0] = {}): Promise<Scene> {
  const scene = await startScene(options)
  scene.upstream.content
    .addImage('team/app', single, 'v1')
    .addImage('team/index', index, 'v1')
    .addImage('team/other', other, 'v1')
  return scene
}

function warm(scene: Scene, args: readonly string[], input = ''): Promise<CommandResult> {
  return runTrow(['warm', '--registry', scene.registry.url, ...args], { input })
}

async function warmJson(scene: Scene, args: readonly string[], input = ''): Promise<Result[]> {
  const { stdout } = await warm(scene, [...args, '--format', 'json'], input)
  const lines = stdout.split('\n').filter((line) => line !== '')
  return lines.map((line) => JSON.parse(line) as Result)
}

function bytesOf({ blobs, manifests }: ImageFixture): number {
  return [...blobs, ...manifests].reduce((sum, { bytes }) => sum + bytes.length, 0)
}

/** Pulls all of an image by digest, as a node does. */
async function pullAll(scene: Scene, repository: string, image: ImageFixture): Promise<void> {
  for (const [kind, contents] of [
    ['manifests', image.manifests],
    ['blobs', image.blobs],
  ] as const) {
    for (const { digest, bytes } of contents) {
      const path = scene.path(kind, digest, repository)
      const reply = await scene.registry.request('GET', path)
      assert.ok(reply.body.equals(bytes), digest)
    }
  }
}

describe('trow warm', () => {
  test('fetches an image once, and finds it there the next time', async () => {
    await using scene = await startWithImages()
    const name = `${scene.host}/team/app:v1`
    const size = bytesOf(single)
    const head = { image: name, digest: single.root.digest, size }
    const cold = await warmJson(scene, [name])
    assert.deepEqual(cold, [{ ...head, status: 'warmed', fetchedSize: size }])
    for (const { digest } of single.blobs) await scene.kept(digest)
    const transfers = scene.count(/^GET .*(?:blobs|manifests)/)
    assert.equal(transfers, 4)
    const warmed = await warmJson(scene, [name])
    assert.deepEqual(warmed, [{ ...head, status: 'present', fetchedSize: 0 }])
    assert.equal(scene.count(/^GET .*(?:blobs|manifests)/), transfers)
  })

  test('follows a large layer to its end without taking its bytes', async () => {
    await using scene = await startWithImages()
    const large = imageFixture({ seed: 9, layers: 1, layerBytes: 40_000_000 })
    scene.upstream.content.addImage('team/large', large, 'v1')
    const [result] = await warmJson(scene, [`${scene.host}/team/large:v1`])
    assert.equal(result?.fetchedSize, bytesOf(large))
    const { digest = '' } = large.blobs.find(({ bytes }) => bytes.length > 1_000_000) ?? {}
    const sent = scene.registry
      .logs()
      .filter((line) => String(line['path']).includes(digest))
      .map((line) => Number(line['sent']))
    assert.ok(sent.length >= 4, String(sent))
    assert.ok(
      sent.every((bytes) => bytes === 1),
      String(sent),
    )
    assert.equal(scene.count(new RegExp(digest)), 1)
  })

  test('makes an image outlive its upstream', async () => {
    await using scene = await startWithImages()
    const names = [`${scene.host}/team/app:v1`, `${scene.host}/team/index:v1`]
    assert.equal((await warm(scene, [...names, '--platform', 'all'])).code, 0)
    await scene.upstream[Symbol.asyncDispose]()
    await pullAll(scene, 'team/app', single)
    await pullAll(scene, 'team/index', index)
    const again = await warm(scene, [...names, '--platform', 'all'])
    assert.equal(again.code, 0)
    assert.match(again.stdout, /^present {2}.* kB {2}.*this copy may be out of date$/m)
  })

  test('says for people what it did, and for which platform', async () => {
    await using scene = await startWithImages()
    const { code, stdout, stderr } = await warm(scene, [`${scene.host}/team/app:v1`])
    assert.equal(code, 0)
    assert.match(stderr, /^trow: for linux\/[a-z0-9]+, which Trow runs on; --platform names others/)
    const line = `warmed   ${scene.host}/team/app:v1  410 kB, 410 kB fetched`
    assert.deepEqual(stdout.split('\n'), [
      line,
      '1 image: 1 warmed, 0 already there; 410 kB fetched',
      '',
    ])
  })

  test('fetches two images that share their layers once', async () => {
    await using scene = await startWithImages()
    scene.upstream.content.setTag('team/app', 'v2', single.root.digest)
    const names = ['v1', 'v2'].map((tag) => `${scene.host}/team/app:${tag}`)
    const results = await warmJson(scene, [...names, '--jobs', '2'])
    const fetched = results.reduce((sum, { fetchedSize = 0 }) => sum + fetchedSize, 0)
    assert.ok(fetched >= bytesOf(single) && fetched <= bytesOf(single) + 2 * single.root.size)
    assert.equal(scene.count(/^GET .*blobs/), single.blobs.length)
  })
})

describe('the platforms that trow warm fetches', () => {
  const childOf = (i: number) => index.manifests[i]?.digest ?? ''

  test('are those that are named, whatever their variant', async () => {
    await using scene = await startWithImages()
    const name = `${scene.host}/team/index:v1`
    const [result] = await warmJson(scene, [name, '--platform', 'linux/amd64, linux/arm64'])
    assert.deepEqual(result?.platforms, ['linux/amd64', 'linux/arm64/v8'])
    assert.equal(scene.count(new RegExp(childOf(0))), 1)
    assert.equal(scene.count(new RegExp(childOf(1))), 1)
    assert.equal(scene.count(new RegExp(childOf(2))), 0)
    const [all] = await warmJson(scene, [name, '--platform', 'all'])
    assert.equal(all?.size, bytesOf(index))
    assert.ok((all?.fetchedSize ?? 0) > 0)
  })

  test('are told when the one that is wanted is not among them', async () => {
    await using scene = await startWithImages()
    const names = [`${scene.host}/team/index:v1`, `${scene.host}/team/app:v1`]
    const results = await warmJson(scene, [...names, '--platform', 'linux/ppc64le', '--jobs', '1'])
    assert.deepEqual(
      results.map(({ status, message }) => [status, message]),
      [
        [
          'failed',
          'there is no image for linux/ppc64le; there is linux/amd64, linux/arm64/v8, linux/s390x',
        ],
        ['warmed', undefined],
      ],
    )
  })
})

describe('what trow warm cannot fetch', () => {
  test('is said with its reason, and keeps nothing else from being fetched', async () => {
    await using scene = await startWithImages()
    scene.upstream.use(corrupting(), { on: new RegExp(`GET .*${other.blobs[0]?.digest}`) })
    const { host } = scene
    const names = ['none:v1', 'team/other:v1', 'team/app:v1', 'UPPER'].map((n) => `${host}/${n}`)
    const { code, stdout, stderr } = await warm(scene, [...names, ...amd64])
    assert.equal(code, 1)
    assert.equal(stderr, 'trow: 3 of 4 images could not be had\n')
    const status404 = `failed   ${host}/none:v1  ${host} answered with status 404 \\(MANIFEST_UNKNOWN\\)`
    assert.match(stdout, new RegExp(`^${status404}$`, 'm'))
    assert.match(
      stdout,
      /^failed {3}\S+team\/other:v1 {2}a layer broke off .* log of Trow says why$/m,
    )
    assert.match(stdout, /^failed {3}\S+UPPER {2}invalid image reference .*lower case/m)
    assert.match(stdout, /^warmed {3}\S+team\/app:v1 /m)
    assert.match(stdout, /^4 images: 1 warmed, 0 already there, 3 failed; 5\d\d kB fetched$/m)
    await pullAll(scene, 'team/app', single)
  })

  test('is what Trow could not keep', { skip: noPrlimit }, async () => {
    await using scene = await startWithImages()
    const large = imageFixture({ seed: 9, layers: 1, layerBytes: 8_000_000 })
    scene.upstream.content.addImage('team/large', large, 'v1')
    const limitFiles = async (bytes: number) => {
      const args = ['--pid', String(scene.registry.pid), `--fsize=${bytes}:`]
      await promisify(execFile)('prlimit', args)
    }
    await limitFiles(3_000_000)
    const name = `${scene.host}/team/large:v1`
    const [failed] = await warmJson(scene, [name])
    assert.equal(failed?.status, 'failed')
    assert.match(failed?.message ?? '', /^Trow did not keep sha256:\S+; its log says why$/)
    await limitFiles(100_000_000)
    const again = await warm(scene, [name])
    assert.equal(again.code, 0, again.stdout)
    await pullAll(scene, 'team/large', large)
  })

  test('is fetched when it is tried again', async () => {
    await using scene = await startWithImages()
    const name = `${scene.host}/team/app:v1`
    const [config] = single.blobs
    scene.upstream.use(failing(404), { on: new RegExp(`GET .*${config?.digest}`), times: 1 })
    const [first] = await warmJson(scene, [name])
    assert.equal(first?.status, 'failed')
    const [second] = await warmJson(scene, [name])
    assert.equal(second?.status, 'warmed')
    assert.equal(second?.fetchedSize, config?.bytes.length)
  })

  test('is skipped when it is Trow’s own', async () => {
    await using scene = await startWithImages()
    await scene.registry.push('mine', 'v1', single)
    const names = [`${scene.registry.host}/mine:v1`, `${scene.registry.host}/gone:v1`]
    const results = await warmJson(scene, names)
    const message = 'an image of this Trow itself'
    assert.deepEqual(
      results.toSorted((one, next) => (one.image < next.image ? 1 : -1)),
      names.map((image) => ({ image, status: 'skipped', message })),
    )
  })

  test('is not skipped when the name leads through Trow to another registry', async () => {
    await using scene = await startWithImages()
    const inPath = `f/${scene.host.replace(':', '_')}`
    const name = `${scene.registry.host}/${inPath}/team/app:v1`
    const [result] = await warmJson(scene, [name])
    assert.equal(result?.status, 'warmed')
    const gone = await warm(scene, [`${scene.registry.host}/${inPath}/team/none:v1`])
    assert.match(gone.stdout, /^failed .*MANIFEST_UNKNOWN/)
  })
})

describe('signatures and attestations', () => {
  const signature = imageFixture({ seed: 5, layers: 1, layerBytes: 100, subject: single.root })
  const cosigned = imageFixture({ seed: 6, layers: 1, layerBytes: 100 })
  const ofSignature = imageFixture({ seed: 7, layers: 1, layerBytes: 10, subject: signature.root })

  test('are fetched with --referrers, and only then', async () => {
    await using scene = await startWithImages()
    const tag = `${single.root.digest.replace(':', '-')}.sig`
    scene.upstream.content
      .addImage('team/app', signature)
      .addImage('team/app', ofSignature)
      .addImage('team/app', cosigned, tag)
    const name = `${scene.host}/team/app:v1`
    const [bare] = await warmJson(scene, [name])
    assert.equal(bare?.fetchedSize, bytesOf(single))
    assert.equal(scene.count(/referrers|sha256-/), 0)
    const [all] = await warmJson(scene, [name, '--referrers'])
    assert.equal(all?.message, undefined)
    const extra = bytesOf(signature) + bytesOf(cosigned) + bytesOf(ofSignature)
    assert.equal(all?.size, bytesOf(single) + extra)
    assert.equal(all?.fetchedSize, extra)
    await scene.upstream[Symbol.asyncDispose]()
    for (const image of [signature, cosigned, ofSignature]) await pullAll(scene, 'team/app', image)
    const subject = scene.path('referrers', single.root.digest, 'team/app')
    const listed = (await scene.registry.request('GET', subject)).json() as {
      manifests: { digest: string }[]
    }
    assert.deepEqual(
      listed.manifests.map(({ digest }) => digest),
      [signature.root.digest],
    )
  })
})

describe('the images that trow warm is given', () => {
  let scene: Scene
  before(async () => {
    scene = await startWithImages({ settings: { allow_unlisted: false } })
  })
  after(() => scene[Symbol.asyncDispose]())

  const imagesOf = async (args: readonly string[], input = '') =>
    (await warmJson(scene, [...args, ...amd64], input)).map(({ image }) => image).toSorted()
  const named = () => ['app', 'index'].map((name) => `${scene.host}/team/${name}:v1`)

  test('come from a file, with comments', async () => {
    await using directory = await temporaryDirectory()
    const file = join(directory.path, 'images')
    const [app, index] = named()
    await writeFile(file, `# what we run\n\n${app} # the app\n  ${index}\n${app}\n`)
    assert.deepEqual(await imagesOf(['-f', file]), named())
    assert.deepEqual(await imagesOf(['-f', file, app ?? '']), named())
  })

  test('come from a cluster’s pods', async () => {
    const [app, index] = named()
    const pods = {
      kind: 'List',
      items: [
        {
          kind: 'Pod',
          metadata: { annotations: { image: 'not/an/image' } },
          spec: {
            containers: [{ name: 'a', image: app }],
            initContainers: [{ name: 'b', image: app }],
            ephemeralContainers: [{ name: 'c', image: index }],
          },
          status: { containerStatuses: [{ image: `sha256:${'0'.repeat(64)}` }] },
        },
      ],
    }
    const json = JSON.stringify(pods, undefined, 4)
    assert.deepEqual(await imagesOf(['-f', '-'], json), named())
    assert.deepEqual(
      await imagesOf(['-'], `${app} ${index} ${app} sha256:${'0'.repeat(64)}`),
      named(),
    )
  })

  test('have one name each, as containerd has it', async () => {
    const results = await warmJson(scene, ['nginx', 'index.docker.io/library/nginx:latest'])
    assert.deepEqual(
      results.map(({ image, status }) => [image, status]),
      [['docker.io/library/nginx:latest', 'failed']],
    )
  })
})

describe('trow warm ends at once', () => {
  test('when it is not a Trow that it is to ask', async () => {
    await using scene = await startWithImages()
    const { host } = scene
    const { code, stdout, stderr } = await runTrow([
      'warm',
      '--registry',
      host,
      `${host}/team/app:v1`,
    ])
    assert.deepEqual([code, stdout], [1, ''])
    assert.equal(
      stderr,
      `trow: ${host} is no Trow, or one older than 0.11: it has no /api/upstreams\n`,
    )
  })

  test('without a login that Trow wants, and says so', async () => {
    const user = { name: 'ann', password: 'secret' }
    await using registry = await startRegistry({
      user,
      config: proxyConfig([], { allow_unlisted: false }),
    })
    const args = ['warm', '--registry', registry.url, 'a.example/b']
    const refused = await runTrow(args)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /401.*log in with -u USER -p PASSWORD\n$/)
    const { stdout } = await runTrow([...args, '-u', 'ann', '--password-stdin'], {
      input: 'secret',
    })
    assert.match(stdout, /^failed {3}a\.example\/b:latest {2}/)
  })

  test('at Ctrl-C, and says what it did until then', async () => {
    await using scene = await startWithImages()
    const held = imageFixture({ seed: 8, layers: 1 })
    scene.upstream.content.addImage('team/held', held, 'v1')
    const digest = held.blobs.at(-1)?.digest ?? ''
    const gate = new Gate()
    scene.upstream.use(holding(gate, 1000), { on: new RegExp(digest) })
    const names = [`${scene.host}/team/app:v1`, `${scene.host}/team/held:v1`]
    const args = ['warm', '--registry', scene.registry.url, '--jobs', '1', ...amd64, ...names]
    const running = startTrow(args)
    await until('the layer is on its way', () => scene.count(new RegExp(digest)) > 0)
    running.signal('SIGINT')
    const { code, stdout, stderr } = await running.result
    assert.equal(code, 130)
    assert.match(
      stdout,
      /^warmed .*team\/app:v1.*\n1 image: 1 warmed, 0 already there; 410 kB fetched\n$/,
    )
    assert.match(stderr, /^trow: interrupted; Trow goes on with the layers/)
    gate.open()
    await scene.kept(digest)
  })
})
