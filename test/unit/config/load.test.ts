import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ConfigError } from '../../../src/config/config-error.ts'
import type { Config } from '../../../src/config/config.ts'
import { formatHostPort } from '../../../src/config/host-port.ts'
import { loadConfig } from '../../../src/config/load.ts'
import type { Environment } from '../../../src/config/sources.ts'
import { directoryWith } from '../../support/directory-with.ts'
import { certificate, foreignKey, privateKey } from './tls-pair.ts'

type Flags = Record<string, string | boolean | string[]>

function load(flags: Flags = {}, environment: Environment = {}) {
  return loadConfig({ flags: new Map(Object.entries(flags)), environment })
}

async function configOf(flags: Flags, environment: Environment = {}): Promise<Config> {
  return (await load(flags, environment)).config
}

async function problemsOf(flags: Flags, environment: Environment = {}): Promise<readonly string[]> {
  const error: unknown = await load(flags, environment).catch((thrown: unknown) => thrown)
  assert.ok(error instanceof ConfigError, `not refused: ${String(error)}`)
  return error.problems
}

test('without any source the defaults are in force', async () => {
  const { config, dryRun, warnings } = await load()
  assert.deepEqual(config.bind, { host: '::', port: 8000 })
  assert.deepEqual(config.hostnames, ['[::]:8000'])
  assert.equal(config.dataDir, './data')
  assert.equal(config.auth.user, undefined)
  assert.equal(config.logLevel, 'info')
  assert.equal(config.uploadIdleSeconds, 24 * 3600)
  assert.equal(config.shutdownGraceSeconds, 25)
  assert.ok(config.trustedProxies.includes('10.0.0.0/8' as never))
  assert.deepEqual(config.registryProxies, {
    offline: false,
    tagTtlSeconds: 0,
    unknownTtlSeconds: 10,
    allowUnlisted: true,
    prefetch: 'none',
    registries: [],
  })
  assert.equal(config.imageValidation, undefined)
  assert.deepEqual([dryRun, warnings, config.files], [false, [], []])
})

test('flags are stronger than the environment, which is stronger than files', async (t) => {
  const yaml = 'bind: 1.1.1.1\ndata_dir: /file\nlog_level: warn\ncors: [https://file]\n'
  const file = join(await directoryWith(t, { 'trow.yaml': yaml }), 'trow.yaml')
  const loaded = await load(
    { '--config-file': [file], '--bind': '3.3.3.3' },
    { TROW_BIND: '2.2.2.2', TROW_DATA_DIR: '/env', RUST_LOG: 'trace', TROW_CORS: '' },
  )
  const { config } = loaded
  assert.equal(formatHostPort(config.bind), '3.3.3.3:8000')
  assert.equal(config.dataDir, '/env')
  assert.equal(config.logLevel, 'warn')
  assert.deepEqual(config.cors, ['https://file'])
  assert.equal(loaded.origin(['bind']), '--bind')
  assert.equal(loaded.origin(['data_dir']), 'TROW_DATA_DIR')
  assert.equal(loaded.origin(['log_level']), `${file}:3:1`)
  assert.equal(loaded.origin(['shutdown_grace']), undefined)
})

test('RUST_LOG sets the level when nothing else does', async () => {
  assert.equal((await configOf({}, { RUST_LOG: 'warn,trow=debug' })).logLevel, 'debug')
  assert.equal(
    (await configOf({}, { RUST_LOG: 'debug', TROW_LOG_LEVEL: 'error' })).logLevel,
    'error',
  )
})

test('a list replaces the list of a weaker source', async () => {
  const config = await configOf({ '--hostname': ['a', 'b,c'] }, { TROW_HOSTNAME: 'd' })
  assert.deepEqual(config.hostnames, ['a', 'b', 'c'])
})

describe('a switch in the environment', () => {
  const cases: [value: string, on: boolean][] = [
    ['true', true],
    ['1', true],
    ['YES', true],
    ['false', false],
    ['0', false],
    ['', false],
  ]
  for (const [value, on] of cases) {
    test(`is ${on ? 'on' : 'off'} when it is "${value}"`, async () => {
      const { config, dryRun } = await load({}, { TROW_ANONYMOUS_PULL: value, TROW_DRY_RUN: value })
      assert.deepEqual([config.auth.anonymousPull, dryRun], [on, on])
    })
  }
  test('is refused when it is neither', async () => {
    assert.deepEqual(await problemsOf({}, { TROW_ANONYMOUS_PULL: 'maybe' }), [
      'TROW_ANONYMOUS_PULL: expected true or false, found text',
    ])
  })
})

describe('the password', () => {
  const user = { '--user': 'ann' }
  const read = async (flags: Flags, environment: Environment = {}) =>
    (await configOf(flags, environment)).auth.user?.password.reveal()

  test('is taken as it is', async () => {
    assert.equal(await read({ ...user, '--password': ' a:b ß\n' }), ' a:b ß\n')
  })
  const endings: [content: string, password: string][] = [
    ['s3cret', 's3cret'],
    ['s3cret\n', 's3cret'],
    ['s3cret\r\n', 's3cret'],
    ['s3cret\n\n', 's3cret\n'],
    [' s3cret ', ' s3cret '],
  ]
  for (const [content, password] of endings) {
    test(`is ${JSON.stringify(password)} in a file with ${JSON.stringify(content)}`, async (t) => {
      const directory = await directoryWith(t, { pw: content, 'a.yaml': '' })
      const file = join(directory, 'pw')
      assert.equal(await read({ ...user, '--password': `file://${file}` }), password)
      assert.deepEqual((await configOf({ ...user, '--password': `file://${file}` })).files, [file])
    })
  }
  test('of a stronger source replaces the password file of a weaker one', async (t) => {
    const directory = await directoryWith(t, {
      'a.yaml': 'auth: {user: ann, password_file: /does/not/exist}\n',
    })
    const flags = { '--config-file': [join(directory, 'a.yaml')] }
    assert.equal(await read(flags, { TROW_PASSWORD: 'x' }), 'x')
  })
  test('that a misspelt variable holds is not missing without a word about that variable', async () => {
    const problems = await problemsOf({}, { TROW_USER: 'ann', TROW_PASSWD: 'x' })
    assert.deepEqual(
      problems.map((line) => line.split(' ', 1)[0]),
      ['TROW_USER:', 'TROW_PASSWD'],
    )
  })
  const wrong: [what: string, flags: Flags, environment: Environment, problem: RegExp][] = [
    ['without a user', { '--password': 'x' }, {}, /^--password: a password needs a user/],
    ['missing beside a user', {}, { TROW_USER: 'x' }, /^TROW_USER: a user needs a password/],
    [
      'in a file that is missing',
      { ...user, '--password': 'file:///does/not/exist' },
      {},
      /^--password: the file \/does\/not\/exist does not exist$/,
    ],
    ['in a directory', user, { TROW_PASSWORD: 'file:///' }, /^TROW_PASSWORD: .* is a directory$/],
    ['in an empty file', user, { TROW_PASSWORD: 'file:///dev/null' }, /\/dev\/null is empty$/],
    ['in an endless file', user, { TROW_PASSWORD: 'file:///dev/zero' }, /larger than 4096 bytes$/],
  ]
  for (const [what, flags, environment, problem] of wrong) {
    test(`is refused ${what}`, async () => {
      const problems = await problemsOf(flags, environment)
      assert.equal(problems.length, 1)
      assert.match(problems[0] ?? '', problem)
    })
  }
})

describe('TLS', () => {
  test('is served with the pair of files that the flag names', async (t) => {
    const directory = await directoryWith(t, { crt: certificate, key: privateKey })
    const [certFile, keyFile] = [join(directory, 'crt'), join(directory, 'key')]
    const { tls, files } = await configOf({ '--tls': `${certFile},${keyFile}` })
    assert.deepEqual([tls?.certFile, tls?.keyFile], [certFile, keyFile])
    assert.equal(tls?.key.reveal(), privateKey)
    assert.deepEqual(files, [certFile, keyFile])
  })
  test('is refused with a key that does not belong to the certificate', async (t) => {
    const directory = await directoryWith(t, { crt: certificate, key: foreignKey })
    const problems = await problemsOf({}, { TROW_TLS: `${directory}/crt,${directory}/key` })
    assert.match(problems.join(), /^TROW_TLS: the private key .* does not belong to/)
  })
  test('needs two files', async () => {
    assert.deepEqual(await problemsOf({ '--tls': 'one' }), ['--tls: expected CERT,KEY, two files'])
  })
})

describe('several files', () => {
  const validation = 'image_validation:\n  default: Deny\n  allow:\n  - a/\n'
  const proxies = 'registry_proxies:\n  registries:\n  - host: docker.io\n'
  test('are put together, whichever flag names them', async (t) => {
    const directory = await directoryWith(t, { 'a.yaml': validation, 'b.yaml': proxies })
    const [a, b] = [join(directory, 'a.yaml'), join(directory, 'b.yaml')]
    const config = await configOf({
      '--config-file': [a],
      '--image-validation-config-file': [b, a],
    })
    assert.equal(config.imageValidation?.default, 'Deny')
    assert.deepEqual(config.imageValidation.allow, [{ image: 'a/' }])
    assert.equal(config.registryProxies.registries[0]?.host, 'docker.io')
    assert.deepEqual(config.files, [a, b])
  })
  test('may not set the same key', async (t) => {
    const directory = await directoryWith(t, {
      'a.yaml': 'auth: {user: x, password: y}\n',
      'b.yaml': 'cors: []\nauth:\n  anonymous_pull: true\n  user: z\n',
    })
    const [a, b] = [join(directory, 'a.yaml'), join(directory, 'b.yaml')]
    assert.deepEqual(await problemsOf({ '--config-file': [a, b] }), [
      `${b}:4:3: auth.user: is also set at ${a}:1:8: auth.user`,
    ])
  })
  test('that cannot be read are all named', async (t) => {
    const directory = await directoryWith(t)
    const problems = await problemsOf({ '--config-file': [`${directory}/no`, directory] })
    assert.deepEqual(problems, [
      `${directory}/no: the configuration file does not exist`,
      `${directory}: the configuration file is a directory`,
    ])
  })
})

test('anonymous pull without a user is warned of', async () => {
  const { warnings } = await load({ '--anonymous-pull': true })
  assert.match(warnings.join(), /everybody may pull, push and delete/)
})

test('nothing is warned of that is set as it should be', async (t) => {
  const text =
    'registry_proxies: {max_size: 5GB, prefetch: layers, default_upstream: docker.io}\n' +
    'image_validation: {default: Allow}\n'
  const directory = await directoryWith(t, { 'a.yaml': text })
  const { warnings } = await load({ '--config-file': [join(directory, 'a.yaml')] })
  assert.deepEqual(warnings, [])
})
