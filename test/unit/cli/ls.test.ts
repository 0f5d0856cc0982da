import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'
import { chooseSchemes } from '../../../src/cli/registry-options.ts'
import { issueCertificate } from '../../support/certificate.ts'
import { FakeUpstream } from '../../support/fake-upstream.ts'
import {
  cutting,
  failing,
  FakeTokenService,
  rateLimiting,
  requiringBasic,
} from '../../support/fake-upstream-behaviours.ts'
import { imageFixture, sha256Digest } from '../../support/image-fixture.ts'
import { runCommand } from '../../support/run-command.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

const image = imageFixture()
const index = imageFixture({ platforms: ['linux/amd64', 'linux/arm64/v8'] })
const login = { username: 'myuser', password: 'my:pass' }
const asUser = ['-u', login.username, '-p', login.password]

async function startUpstream(): Promise<FakeUpstream> {
  const upstream = await FakeUpstream.start()
  upstream.content
    .addImage('alpine', image, 'default', 'test')
    .addImage('user1/web', index, '1.0', 'latest')
  return upstream
}

function sizeOf(manifest: number): number {
  const document = JSON.parse(index.manifests[manifest]!.bytes.toString())
  const parts: { size: number }[] = [document.config, ...document.layers]
  return parts.reduce((sum, { size }) => sum + size, 0)
}

describe('trow ls REGISTRY', () => {
  test('shows the repositories and how many tags they have', async () => {
    await using upstream = await startUpstream()
    const { code, stdout, stderr } = await runCommand(['ls', upstream.host])
    assert.equal(stdout, 'REPOSITORY  TAGS\nalpine         2\nuser1/web      2\n')
    assert.equal(stderr, '')
    assert.equal(code, 0)
  })

  test('takes the address as browsers show it', async () => {
    await using upstream = await startUpstream()
    const { code, stdout } = await runCommand(['ls', '-q', `http://${upstream.host}/`])
    assert.equal(stdout, 'alpine\nuser1/web\n')
    assert.equal(code, 0)
  })

  test('--json prints one document with an entry a line', async () => {
    await using upstream = await startUpstream()
    const { stdout } = await runCommand(['ls', '--json', upstream.host])
    assert.deepEqual(JSON.parse(stdout), {
      registry: upstream.host,
      repositories: [
        { name: 'alpine', tags: 2 },
        { name: 'user1/web', tags: 2 },
      ],
    })
    assert.equal(stdout.split('\n').length, 5)
  })

  test('--quiet prints names and asks for nothing else', async () => {
    await using upstream = await startUpstream()
    const { stdout } = await runCommand(['ls', '--quiet', upstream.host])
    assert.equal(stdout, 'alpine\nuser1/web\n')
    assert.equal(upstream.log.filter((line) => line !== 'GET /v2/').length, 1)
    const json = await runCommand(['ls', '--quiet', '--json', upstream.host])
    assert.deepEqual(JSON.parse(json.stdout).repositories, [
      { name: 'alpine' },
      { name: 'user1/web' },
    ])
  })

  test('of an empty registry says so', async () => {
    await using upstream = await FakeUpstream.start()
    const { code, stdout, stderr } = await runCommand(['ls', upstream.host])
    assert.deepEqual([code, stdout], [0, ''])
    assert.match(stderr, /has no repositories/)
    const json = await runCommand(['ls', '--json', upstream.host])
    assert.deepEqual(JSON.parse(json.stdout).repositories, [])
  })

  test('counts no tags where a repository is left without any', async () => {
    await using upstream = await startUpstream()
    upstream.use(failing(404, 'NAME_UNKNOWN'), { on: /alpine\/tags/ })
    const { code, stdout } = await runCommand(['ls', upstream.host])
    assert.match(stdout, /alpine +0\n/)
    assert.equal(code, 0)
  })

  test('follows all pages', async () => {
    await using upstream = await FakeUpstream.start()
    const names = Array.from({ length: 25 }, (_, i) => `r${100 + i}`)
    for (const name of names) upstream.content.addImage(name, image, 'a')
    upstream.content.pageEntriesMax = 10
    const { stdout } = await runCommand(['ls', '-q', upstream.host])
    assert.deepEqual(stdout.trim().split('\n'), names)
  })
})

describe('trow ls REGISTRY/REPOSITORY', () => {
  test('shows the tags with digest, size and platform, a row for each platform', async () => {
    await using upstream = await startUpstream()
    const { code, stdout } = await runCommand(['ls', `${upstream.host}/user1/web`])
    const digest = index.root.digest.slice(0, 19)
    const rows = stdout.split('\n').map((line) => line.trim().split(/ {2,}/))
    assert.deepEqual(rows, [
      ['TAG', 'DIGEST', 'SIZE', 'PLATFORM'],
      ['1.0', digest, '139 kB', 'linux/amd64'],
      ['139 kB', 'linux/arm64/v8'],
      ['latest', digest, '139 kB', 'linux/amd64'],
      ['139 kB', 'linux/arm64/v8'],
      [''],
    ])
    assert.equal(code, 0)
  })

  test('asks once for an image that many tags name', async () => {
    await using upstream = await startUpstream()
    await runCommand(['ls', `${upstream.host}/user1/web`])
    const children = upstream.log.filter((line) => line.includes('/manifests/sha256:'))
    assert.equal(children.length, 2)
  })

  test('finds the platform of a single image in its config', async () => {
    await using upstream = await startUpstream()
    const { stdout } = await runCommand(['ls', `${upstream.host}/alpine`, '--digests'])
    assert.match(stdout, new RegExp(`default +${image.root.digest} +139 kB +linux/amd64`))
  })

  test('--json gives full digests and bytes', async () => {
    await using upstream = await startUpstream()
    const { stdout } = await runCommand(['ls', '--json', `${upstream.host}/user1/web`])
    const { tags, ...head } = JSON.parse(stdout)
    assert.deepEqual(head, { registry: upstream.host, repository: 'user1/web' })
    assert.deepEqual(tags[0], {
      name: '1.0',
      digest: index.root.digest,
      mediaType: index.root.mediaType,
      images: [
        { digest: index.manifests[0]!.digest, platform: 'linux/amd64', size: sizeOf(0) },
        { digest: index.manifests[1]!.digest, platform: 'linux/arm64/v8', size: sizeOf(1) },
      ],
    })
  })

  test('shows what it can when one tag cannot be read', async () => {
    await using upstream = await startUpstream()
    upstream.content.setTag('alpine', 'gone', `sha256:${'0'.repeat(64)}`)
    const { code, stdout, stderr } = await runCommand(['ls', `${upstream.host}/alpine`])
    assert.match(stdout, /gone +- +- +-\n/)
    assert.match(stdout, /default +sha256:/)
    assert.match(stderr, /^trow: gone: .* 404 .*\ntrow: 1 tag could not be read\n$/)
    assert.equal(code, 1)
  })

  test('shows an image that its index names and the registry does not have', async () => {
    await using upstream = await startUpstream()
    upstream.use(failing(404, 'MANIFEST_UNKNOWN'), { on: new RegExp(index.manifests[1]!.digest) })
    const { code, stdout } = await runCommand(['ls', `${upstream.host}/user1/web`])
    assert.match(stdout, /missing {2}linux\/arm64\/v8/)
    assert.equal(code, 0)
  })

  test('shows the type of an artifact in place of a platform', async () => {
    await using upstream = await startUpstream()
    const empty = Buffer.from('{}')
    const config = {
      mediaType: 'application/vnd.cncf.helm.config.v1+json',
      digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
      size: empty.length,
    }
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [] }))
    const digest = sha256Digest(bytes)
    upstream.content.addManifest('chart', { bytes, mediaType, digest }, '1')
    const { stdout } = await runCommand(['ls', `${upstream.host}/chart`])
    assert.match(stdout, /2 B {2}application\/vnd\.cncf\.helm\.config\.v1\+json/)
  })
})

describe('the login', () => {
  test('is given by -u and -p, for Basic and for tokens', async () => {
    await using basic = await startUpstream()
    basic.use(requiringBasic(login))
    await using bearer = await startUpstream()
    const tokens = new FakeTokenService({ login })
    bearer.use(tokens.issue).use(tokens.require(`${bearer.origin}/token`))
    for (const { host } of [basic, bearer]) {
      const { code, stdout } = await runCommand(['ls', '-q', host, ...asUser])
      assert.deepEqual([code, stdout], [0, 'alpine\nuser1/web\n'])
    }
  })

  test('may have its password in a file or on standard input', async () => {
    await using upstream = await startUpstream()
    upstream.use(requiringBasic(login))
    await using directory = await temporaryDirectory()
    const file = join(directory.path, 'password')
    await writeFile(file, `${login.password}\n`)
    const args = ['ls', '-q', upstream.host, '-u', login.username]
    const fromFile = await runCommand([...args, '-p', `file://${file}`])
    assert.equal(fromFile.code, 0)
    const input = `${login.password}\n`
    assert.equal((await runCommand([...args, '--password-stdin'], { input })).code, 0)
  })

  test('is docker’s when none is given', async () => {
    await using upstream = await startUpstream()
    upstream.use(requiringBasic(login))
    await using directory = await temporaryDirectory()
    const auth = Buffer.from(`${login.username}:${login.password}`).toString('base64')
    const config = { auths: { [upstream.host]: { auth } } }
    await writeFile(join(directory.path, 'config.json'), JSON.stringify(config))
    const environment = { DOCKER_CONFIG: directory.path }
    assert.equal((await runCommand(['ls', upstream.host], { environment })).code, 0)
  })

  test('that is missing or wrong is one line that says what to do, without the password', async () => {
    await using upstream = await startUpstream()
    upstream.use(requiringBasic(login))
    const missing = await runCommand(['ls', upstream.host])
    assert.equal(missing.code, 1)
    assert.match(missing.stderr, /^trow: .*401.*; log in with -u USER -p PASSWORD\n$/)
    const wrong = await runCommand(['ls', upstream.host, '-u', 'myuser', '-p', 'wrong-secret'])
    assert.equal(wrong.code, 1)
    assert.match(wrong.stderr, /^trow: .*the user or the password was not accepted.*\n$/)
    assert.doesNotMatch(wrong.stderr + wrong.stdout, /wrong-secret/)
  })
})

describe('a failure is one line that says what is wrong and what to do', () => {
  test('a registry that is not there', async () => {
    const upstream = await startUpstream()
    const { host } = upstream
    await upstream[Symbol.asyncDispose]()
    const { code, stderr } = await runCommand(['ls', host])
    assert.equal(code, 1)
    assert.equal(stderr, `trow: ${host} refused the connection; is a registry running there?\n`)
  })

  test('a certificate that nobody knows', async () => {
    const certificate = issueCertificate(['127.0.0.1'])
    await using upstream = await FakeUpstream.start({ tls: certificate })
    upstream.content.addImage('alpine', image, 'a')
    const refused = await runCommand(['ls', upstream.host])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /certificate .* not trusted.*--ca FILE.*--insecure\n$/)
    const accepted = await runCommand(['ls', '-q', upstream.host, '--insecure'])
    assert.deepEqual([accepted.code, accepted.stdout], [0, 'alpine\n'])
    await using directory = await temporaryDirectory()
    const ca = join(directory.path, 'ca.pem')
    await writeFile(ca, certificate.ca)
    const trusted = await runCommand(['ls', '-q', upstream.host, '--ca', ca])
    assert.deepEqual([trusted.code, trusted.stdout], [0, 'alpine\n'])
    await writeFile(ca, 'no certificate')
    const useless = await runCommand(['ls', upstream.host, '--ca', ca])
    assert.match(useless.stderr, /holds no certificate/)
  })

  const cases: [
    what: string,
    behaviour: Parameters<FakeUpstream['use']>,
    path: string,
    message: RegExp,
  ][] = [
    ['no catalog', [failing(404)], '', /does not list its repositories \(it answered 404\)/],
    ['a catalog for some only', [failing(403, 'DENIED')], '', /does not list its repositories/],
    ['an unknown repository', [failing(404)], '/nope', /has no repository nope; trow ls/],
    ['too many requests', [rateLimiting('60')], '', /429.*try again in 60 s/],
    ['a broken connection', [cutting()], '', /the connection to .* failed/],
  ]
  for (const [what, behaviour, path, message] of cases) {
    test(what, async () => {
      await using upstream = await startUpstream()
      upstream.use(...behaviour)
      const { code, stderr } = await runCommand(['ls', `http://${upstream.host}${path}`])
      assert.equal(code, 1)
      assert.match(stderr, message)
      assert.match(stderr, /^trow: [^\n]+\n$/)
    })
  }

  test('Docker Hub has no list of repositories, and is not even asked', async () => {
    const { code, stderr } = await runCommand(['ls', 'index.docker.io'])
    assert.equal(code, 1)
    assert.match(stderr, /docker\.io does not list .* trow ls docker\.io\/REPOSITORY\n$/)
  })

  const usages: [what: string, args: string[], message: RegExp][] = [
    ['an unknown flag', ['--nope'], /unknown option '--nope'/],
    ['a word too many', ['a', 'b'], /too many arguments/],
    ['an impossible host', ['a b'], /invalid registry host/],
    ['an impossible repository', ['localhost/A'], /lower case/],
    ['a tag', ['localhost/a:b'], /trow inspect shows it/],
    ['a user without a password', ['-u', 'x'], /-p PASSWORD or --password-stdin/],
    ['a password without a user', ['-p', 'x'], /a password needs a user/],
    ['two passwords', ['-u', 'x', '-p', 'x', '--password-stdin'], /exclude each other/],
    ['a user with a colon', ['-u', 'x:y', '-p', 'x'], /colon/],
  ]
  for (const [what, args, message] of usages) {
    test(`${what} ends with exit code 2`, async () => {
      const { code, stderr } = await runCommand(['ls', ...args])
      assert.equal(code, 2)
      assert.match(stderr, message)
    })
  }

  test('a password file that is not there', async () => {
    const { code, stderr } = await runCommand(['ls', '-u', 'x', '-p', 'file:///no-such-file/pw'])
    assert.equal(code, 1)
    assert.match(stderr, /\/no-such-file\/pw does not exist/)
  })
})

describe('plain HTTP', () => {
  const cases: [host: string, flags: object, schemes: string[]][] = [
    ['registry.example', {}, ['https']],
    ['registry.example', { insecure: true }, ['https', 'http']],
    ['localhost:8000', {}, ['http', 'https']],
    ['127.0.0.53:1', {}, ['http', 'https']],
    ['[::1]', {}, ['http', 'https']],
    ['localhost:8000', { ca: 'file' }, ['https']],
    ['192.168.0.1', {}, ['https']],
  ]
  for (const [host, flags, schemes] of cases) {
    test(`${host} with ${JSON.stringify(flags)} is tried over ${schemes.join(', ')}`, () => {
      assert.deepEqual(chooseSchemes({ registry: parseRegistryHost(host) }, flags), schemes)
    })
  }

  test('a scheme in front decides', () => {
    const registry = parseRegistryHost('registry.example')
    assert.deepEqual(chooseSchemes({ registry, scheme: 'http' }, {}), ['http'])
    assert.deepEqual(chooseSchemes({ registry, scheme: 'https' }, { insecure: true }), ['https'])
  })
})
