import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { ConfigError } from '../../../src/config/config-error.ts'
import type { RegistryProxies, RegistryProxy } from '../../../src/config/config.ts'
import { parseConfigFile } from '../../../src/config/config-file.ts'
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts'
import { validateLayer } from '../../../src/config/validate.ts'
import { directoryWith } from '../../support/directory-with.ts'
import { certificate, foreignKey, privateKey } from './tls-pair.ts'

/** `DIR` in the text stands for the directory in which the files are. */
async function load(
  t: TestContext,
  text: string,
  files: Record<string, string> = {},
): Promise<LoadedConfig & { directory: string }> {
  const directory = await directoryWith(t, files)
  const yaml = text.replaceAll('DIR', directory)
  const file = join(await directoryWith(t, { 'trow.yaml': yaml }), 'trow.yaml')
  const flags = new Map([['--config-file', [file]]])
  return { ...(await loadConfig({ flags, environment: {} })), directory }
}

async function proxiesOf(t: TestContext, text: string): Promise<RegistryProxies> {
  return (await load(t, `registry_proxies: {${text}}`)).config.registryProxies
}

/** The problems of one entry, without the places. */
async function problemsOf(t: TestContext, entry: string, files: Record<string, string> = {}) {
  const text = `registry_proxies: {registries: [{${entry}}]}`
  const error: unknown = await load(t, text, files).catch((thrown: unknown) => thrown)
  assert.ok(error instanceof ConfigError, `not refused: ${String(error)}`)
  return error.problems.map((line) => line.replace(/^.*?registries\[0\]\./, ''))
}

async function entryOf(
  t: TestContext,
  entry: string,
  files: Record<string, string> = {},
): Promise<RegistryProxy> {
  const text = `registry_proxies: {registries: [{${entry}}]}`
  const { config } = await load(t, text, files)
  const [registry] = config.registryProxies.registries
  assert.ok(registry)
  return registry
}

const login = (pair: string) => ({ auth: Buffer.from(pair).toString('base64') })

describe('a setting for all registries', () => {
  const cases: [text: string, settings: Partial<Record<keyof RegistryProxies, unknown>>][] = [
    ['offline: true', { offline: true }],
    ['max_size: 1.5 TiB', { maxSizeBytes: 1.5 * 2 ** 40 }],
    ['tag_ttl: 30s', { tagTtlSeconds: 30 }],
    ['tag_ttl: 1d', { tagTtlSeconds: 86_400 }],
    ['unknown_ttl: 0s', { unknownTtlSeconds: 0 }],
    ['default_upstream: Index.Docker.io', { defaultUpstream: 'docker.io' }],
    ['default_upstream:', {}],
    ['allow_unlisted: false', { allowUnlisted: false }],
    ['allow_unlisted: []', { allowUnlisted: [] }],
    ['allow_unlisted:', { allowUnlisted: true }],
    ['allow_unlisted: GHCR.io', { allowUnlisted: ['ghcr.io'] }],
    [
      'allow_unlisted: [registry-1.docker.io, "*.example.com"]',
      { allowUnlisted: ['docker.io', '*.example.com'] },
    ],
    ['prefetch: layers', { prefetch: 'layers' }],
    ['registries:', { registries: [] }],
  ]
  const defaults = {
    offline: false,
    tagTtlSeconds: 0,
    unknownTtlSeconds: 10,
    allowUnlisted: true,
    prefetch: 'none',
    registries: [],
  }
  for (const [text, settings] of cases) {
    test(`is read: ${text}`, async (t) => {
      assert.deepEqual(await proxiesOf(t, text), { ...defaults, ...settings })
    })
  }
})

describe('an entry for a registry', () => {
  const cases: [text: string, settings: object][] = [
    ['host: registry.hub.docker.com, path_prefix: /library/', { pathPrefix: 'library' }],
    ['host: docker.io, insecure: true', { insecure: true }],
    ['host: docker.io, skip_verify: true', { skipVerify: true }],
    ['host: docker.io, insecure: true, skip_verify: false', { insecure: true }],
    [
      'host: docker.io, endpoints: [Mirror.gcr.io, "10.0.0.1:5000", index.docker.io]',
      { endpoints: ['mirror.gcr.io', '10.0.0.1:5000', 'docker.io'] },
    ],
    ['host: docker.io, endpoints: mirror.gcr.io', { endpoints: ['mirror.gcr.io'] }],
    [
      'host: docker.io, auth_hosts: [Auth.example.com, "10.0.0.1:5000", index.docker.io]',
      { authHosts: ['auth.example.com', '10.0.0.1:5000', 'index.docker.io'] },
    ],
    [
      'host: docker.io, connect_timeout: 500ms, headers_timeout: 1m',
      { connectTimeoutSeconds: 0.5, headersTimeoutSeconds: 60 },
    ],
    [
      'host: docker.io, max_connections: 4, requests_per_second: 0.5',
      { maxConnections: 4, requestsPerSecond: 0.5 },
    ],
  ]
  const defaults = { host: 'docker.io', insecure: false, skipVerify: false, endpoints: [] }
  for (const [text, settings] of cases) {
    test(`is read: ${text}`, async (t) => {
      assert.deepEqual(await entryOf(t, text), { ...defaults, ...settings })
    })
  }
})

describe('a wrong setting of registry_proxies is reported', () => {
  const form = 'expected a host such as "ghcr.io", or "*." and a domain, found'
  const cases: [text: string, problem: string][] = [
    ['tag_tll: 1s', 'tag_tll: unknown key; did you mean "tag_ttl"?'],
    ['tag_ttl: 25h', 'tag_ttl: expected between 0s and 24h'],
    ['tag_ttl: 30', 'tag_ttl: expected a duration such as "30s", "15m", "24h" or "7d"'],
    ['unknown_ttl: 2h', 'unknown_ttl: expected between 0s and 1h'],
    [
      'default_upstream: https://docker.io',
      'default_upstream: expected HOST, HOST:PORT, IP, IP:PORT or [IPV6]:PORT, without "https://"',
    ],
    [
      'default_upstream: "docker.io:0"',
      'default_upstream: invalid registry host "docker.io:0": the port must be a number from 1 to 65535',
    ],
    [
      'allow_unlisted: 5',
      'allow_unlisted: expected true, false or a list of hosts such as "ghcr.io" and "*.example.com"',
    ],
    ['allow_unlisted: [ghcr.io, "a*"]', `allow_unlisted[1]: ${form} "a*"`],
    ['allow_unlisted: "*"', 'allow_unlisted[0]: for every registry write true instead of "*"'],
    ['allow_unlisted: [5]', 'allow_unlisted[0]: expected text, a host such as "ghcr.io"'],
    [
      'prefetch: layer',
      'prefetch: expected one of "none", "layers", found "layer"; did you mean "layers"?',
    ],
    ['registries: [{hots: a, host: b}]', 'registries[0].hots: unknown key; did you mean "host"?'],
    [
      'registries: [{host: a, ca_fil: b}]',
      'registries[0].ca_fil: unknown key; did you mean "ca_file"?',
    ],
    [
      'registries: [{host: a, endpoints: [b, c/d]}]',
      'registries[0].endpoints[1]: expected HOST, HOST:PORT, IP, IP:PORT or [IPV6]:PORT, without a path',
    ],
    [
      'registries: [{host: a, endpoints: [docker.io, index.docker.io]}]',
      'registries[0].endpoints: docker.io is in the list twice',
    ],
    [
      'registries: [{host: a, auth_hosts: ["https://b/token"]}]',
      'registries[0].auth_hosts[0]: expected HOST, HOST:PORT, IP, IP:PORT or [IPV6]:PORT, without "https://"',
    ],
    [
      'registries: [{host: a, auth_hosts: [b, B]}]',
      'registries[0].auth_hosts: b is in the list twice',
    ],
    [
      'registries: [{host: a, connect_timeout: 0s}]',
      'registries[0].connect_timeout: expected between 100ms and 5m',
    ],
    [
      'registries: [{host: a, headers_timeout: 1h}]',
      'registries[0].headers_timeout: expected between 100ms and 5m',
    ],
    ...['0', '1.5', '1025', '"4"'].map((value): [string, string] => [
      `registries: [{host: a, max_connections: ${value}}]`,
      'registries[0].max_connections: expected a whole number from 1 to 1024',
    ]),
    ...['0', '-1', '.inf', '.nan', '5s'].map((value): [string, string] => [
      `registries: [{host: a, requests_per_second: ${value}}]`,
      'registries[0].requests_per_second: expected a number from 0.01 to 10000',
    ]),
    [
      'registries: [{host: docker.io, path_prefix: /x/}, {host: Index.docker.io, path_prefix: x}]',
      'registries[1].host: registries[0] has the same host and path_prefix',
    ],
    ['registries: [{host: a, username: u}]', 'registries[0].username: a username needs a password'],
    ['registries: [{host: a, password: u}]', 'registries[0].password: a password needs a username'],
    [
      'registries: [{host: a, password_file: f}]',
      'registries[0].password_file: a password needs a username',
    ],
    [
      'registries: [{host: a, username: u, password: p, password_file: f}]',
      'registries[0].password_file: password is set too; keep one of the two',
    ],
    [
      'registries: [{host: a, username: u, docker_config_file: f}]',
      'registries[0].username: docker_config_file brings a username; keep one of the two',
    ],
    [
      'registries: [{host: a, username: u, password: p, docker_config_file: f}]',
      'registries[0].docker_config_file: password is set too; keep one of the two',
    ],
    ...['skip_verify: true', 'ca_file: f'].map((setting): [string, string] => [
      `registries: [{host: a, insecure: true, ${setting}}]`,
      `registries[0].${setting.split(':')[0]}: insecure means plain HTTP, which has no certificates`,
    ]),
    [
      'registries: [{host: a, skip_verify: true, ca_file: f}]',
      'registries[0].ca_file: skip_verify accepts any certificate; keep one of the two',
    ],
    [
      'registries: [{host: a, client_cert_file: f}]',
      'registries[0].client_cert_file: needs client_key_file too',
    ],
    [
      'registries: [{host: a, client_key_file: f}]',
      'registries[0].client_key_file: needs client_cert_file too',
    ],
  ]
  for (const [text, problem] of cases) {
    test(text, () => {
      const { layer } = parseConfigFile('f', `registry_proxies: {${text}}`)
      const problems = validateLayer(layer).map((line) =>
        line.replace(/^.*?registry_proxies\./, ''),
      )
      assert.deepEqual(problems, [problem])
    })
  }
  test('plain HTTP with a certificate of the client, at both of its files', () => {
    const entry = '{host: a, insecure: true, client_cert_file: f, client_key_file: g}'
    const { layer } = parseConfigFile('f', `registry_proxies: {registries: [${entry}]}`)
    assert.equal(validateLayer(layer).length, 2)
  })
})

describe('the files of an entry', () => {
  test('are read, and are all watched', async (t) => {
    const text =
      'registry_proxies: {registries: [{host: a, username: ann, password_file: DIR/pw, ' +
      'ca_file: DIR/ca, client_cert_file: DIR/crt, client_key_file: DIR/key}]}'
    const files = { pw: 's3cret\n', ca: certificate, crt: certificate, key: privateKey }
    const { config, directory, warnings } = await load(t, text, files)
    const [entry] = config.registryProxies.registries
    assert.equal(entry?.user?.name, 'ann')
    assert.equal(entry?.user?.password.reveal(), 's3cret')
    assert.equal(entry?.ca, certificate)
    assert.equal(entry?.clientCertificate?.cert, certificate)
    assert.equal(entry?.clientCertificate?.key.reveal(), privateKey)
    assert.deepEqual(
      config.files.slice(1).sort(),
      Object.keys(files)
        .map((name) => join(directory, name))
        .sort(),
    )
    assert.deepEqual(warnings, [])
  })

  const pair = 'client_cert_file: DIR/crt, client_key_file: DIR/key'
  const wrong: [what: string, entry: string, files: Record<string, string>, problem: RegExp][] = [
    ['a missing authority', 'ca_file: DIR/no', {}, /^ca_file: the file .* does not exist$/],
    ['an empty authority', 'ca_file: DIR/ca', { ca: '' }, /^ca_file: the file .* is empty$/],
    ['no authority', 'ca_file: DIR/ca', { ca: 'x' }, /^ca_file: .*ca holds no certificate in PEM/],
    [
      'a foreign key',
      pair,
      { crt: certificate, key: foreignKey },
      /^client_cert_file: the private key .*key does not belong to the certificate .*crt$/,
    ],
    ['a missing key', pair, { crt: certificate }, /^client_key_file: the file .* does not exist$/],
    [
      'a missing docker config',
      'docker_config_file: DIR/no',
      {},
      /^docker_config_file: the file .*no does not exist$/,
    ],
    [
      'a docker config without the host',
      'docker_config_file: DIR/c',
      { c: '{"auths": {"ghcr.io": {}}}' },
      /^docker_config_file: the file .*c has no login for a in its "auths"$/,
    ],
  ]
  for (const [what, entry, files, problem] of wrong) {
    test(`are refused with ${what}`, async (t) => {
      const problems = await problemsOf(t, `host: a, ${entry}`, files)
      assert.equal(problems.length, 1, problems.join('\n'))
      assert.match(problems[0] ?? '', problem)
    })
  }

  test('that are wrong do not hide that the host is', async (t) => {
    const files = { c: '{"auths": {}}' }
    const problems = await problemsOf(t, 'host: "a b", docker_config_file: DIR/c', files)
    assert.equal(problems.length, 1)
    assert.match(problems[0] ?? '', /^host: /)
  })

  test('may be one docker config for several entries', async (t) => {
    const auths = {
      'https://index.docker.io/v1/': login('hub:one'),
      'ghcr.io': login('cat:two'),
      'ghcr.io/team': login('dog:three'),
    }
    const hosts = [
      'host: registry-1.docker.io',
      'host: ghcr.io',
      'host: ghcr.io, path_prefix: team/x',
    ]
    const entries = hosts.map((host) => `{${host}, docker_config_file: DIR/c}`)
    const text = `registry_proxies: {registries: [${entries.join(', ')}]}`
    const { config, directory } = await load(t, text, { c: JSON.stringify({ auths }) })
    const users = config.registryProxies.registries.map(({ user }) => user)
    assert.deepEqual(
      users.map((user) => `${user?.name}:${user?.password.reveal()}`),
      ['hub:one', 'cat:two', 'dog:three'],
    )
    assert.deepEqual(config.files.slice(1), [join(directory, 'c')])
  })
})

test('a client certificate out of its time is warned of', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: new Date('2200-01-01') })
  const text =
    'registry_proxies: {registries: [' +
    '{host: a, client_cert_file: DIR/crt, client_key_file: DIR/key}]}'
  const { warnings } = await load(t, text, { crt: certificate, key: privateKey })
  assert.match(warnings.join(), /crt expired on 21/)
})
