import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { parseRegistryHost } from '../../../src/oci/image-reference.ts'
import { askCredentialHelper, CredentialsError } from '../../../src/upstream/credential-helper.ts'
import { type Credentials, IdentityToken } from '../../../src/upstream/credentials.ts'
import { findCredentials } from '../../../src/upstream/find-credentials.ts'

const signal = new AbortController().signal
const host = parseRegistryHost('r.example:5000')
let home: string

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'trow-credentials-'))
})
afterEach(async () => await rm(home, { recursive: true, force: true }))

async function put(path: string, content: object | string): Promise<string> {
  const file = join(home, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

function login(user: string): object {
  return { auths: { [host]: { auth: Buffer.from(`${user}:p`).toString('base64') } } }
}

/** A helper that is a shell script; it is found first on the PATH. */
async function putHelper(name: string, script: string): Promise<NodeJS.ProcessEnv> {
  const file = await put(`bin/docker-credential-${name}`, `#!/bin/sh\n${script}\n`)
  await chmod(file, 0o755)
  return { PATH: `${join(home, 'bin')}:${process.env['PATH']}` }
}

async function findUser(environment: NodeJS.ProcessEnv = {}): Promise<string | undefined> {
  return show(await findCredentials(host, 'a/b', { environment, homeDirectory: home, signal }))
}

function show(credentials: Credentials | undefined): string | undefined {
  if (credentials instanceof IdentityToken) return `token ${credentials.reveal()}`
  return credentials?.username
}

describe('credentials are found', () => {
  test('nowhere when there are no files', async () => {
    assert.equal(await findUser(), undefined)
  })

  test('in docker’s configuration in the home directory', async () => {
    await put('.docker/config.json', login('docker'))
    assert.equal(await findUser(), 'docker')
  })

  test('in $DOCKER_CONFIG in place of it', async () => {
    await put('.docker/config.json', login('home'))
    await put('other/config.json', login('other'))
    assert.equal(await findUser({ DOCKER_CONFIG: join(home, 'other') }), 'other')
  })

  test('in $REGISTRY_AUTH_FILE before all others', async () => {
    await put('.docker/config.json', login('docker'))
    const file = await put('auth.json', login('podman'))
    assert.equal(await findUser({ REGISTRY_AUTH_FILE: file }), 'podman')
  })

  test('in podman’s files when docker has none for this registry', async () => {
    await put('.docker/config.json', { auths: {} })
    await put('.config/containers/auth.json', login('config'))
    assert.equal(await findUser(), 'config')
    await put('run/containers/auth.json', login('run'))
    assert.equal(await findUser({ XDG_RUNTIME_DIR: join(home, 'run') }), 'run')
  })

  test('by the helper of this registry, before the file', async () => {
    const environment = await putHelper('one', `printf '{"Username":"helped","Secret":"s"}'`)
    await put('.docker/config.json', { ...login('file'), credHelpers: { [host]: 'one' } })
    assert.equal(await findUser(environment), 'helped')
  })

  test('in the file when the helper has none', async () => {
    const none = `printf 'credentials not found in native keychain'; exit 1`
    const environment = await putHelper('store', none)
    await put('.docker/config.json', { ...login('file'), credsStore: 'store' })
    assert.equal(await findUser(environment), 'file')
  })
})

describe('credentials that cannot be read are an error that names their place', () => {
  test('a file that is no JSON', async () => {
    await put('.docker/config.json', 'secret: yes')
    await assert.rejects(findUser(), (error) => {
      assert.ok(error instanceof CredentialsError)
      assert.match(error.message, /\.docker\/config\.json is not the JSON/)
      assert.doesNotMatch(error.message, /secret/)
      return true
    })
  })

  test('a file that is too large', async () => {
    await put('.docker/config.json', ' '.repeat(1024 * 1024 + 1))
    await assert.rejects(findUser(), /more than 1048576 bytes/)
  })

  test('a directory in place of a file', async () => {
    await mkdir(join(home, '.docker/config.json'), { recursive: true })
    await assert.rejects(findUser(), /cannot be read \(EISDIR\)/)
  })
})

describe('a credential helper', () => {
  async function ask(script: string, secondsMax = 20) {
    const environment = await putHelper('x', script)
    return show(await askCredentialHelper('x', host, { environment, secondsMax, signal }))
  }

  test('is told the registry on its standard input and `get` as its argument', async () => {
    const script = `printf '{"Username":"%s %s","Secret":"s"}' "$1" "$(cat)"`
    assert.equal(await ask(script), `get ${host}`)
  })

  test('is told Docker Hub by its old URL', async () => {
    const environment = await putHelper('x', `printf '{"Username":"%s","Secret":"s"}' "$(cat)"`)
    const hub = parseRegistryHost('docker.io')
    const found = await askCredentialHelper('x', hub, { environment, signal })
    assert.equal(show(found), 'https://index.docker.io/v1/')
  })

  test('may answer with an identity token', async () => {
    assert.equal(await ask(`printf '{"Username":"<token>","Secret":"s"}'`), 'token s')
  })

  test('may read nothing', async () => {
    assert.equal(await ask(`exec 0<&-; printf '{"Username":"u","Secret":"s"}'`), 'u')
  })

  const failures: [what: string, script: string, message: RegExp][] = [
    ['fails', 'echo secret; exit 3', /docker-credential-x failed for r\.example:5000$/],
    ['answers no JSON', 'echo secret', /docker-credential-x answered no JSON object$/],
    ['answers endlessly', 'while :; do echo secret; done', /docker-credential-x cannot be run$/],
  ]
  for (const [what, script, message] of failures) {
    test(`that ${what} is an error without its answer`, async () => {
      await assert.rejects(ask(script), { name: 'CredentialsError', message })
    })
  }

  test('that takes too long is ended', async () => {
    await assert.rejects(ask('exec sleep 600', 0.1), /gave no answer in 0\.1 s/)
  })

  test('that is not there is an error', async () => {
    const environment = { PATH: home }
    await assert.rejects(
      askCredentialHelper('absent', host, { environment, signal }),
      /docker-credential-absent cannot be run/,
    )
  })

  test('is never a path', async () => {
    const options = { environment: {}, signal }
    await assert.rejects(askCredentialHelper('../x', host, options), /no program's name/)
  })
})
