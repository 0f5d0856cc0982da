// Everything that Trow 0.10 (and, where it differs, 0.7 to 0.9) takes on its command line, in its
// environment and in its configuration file: understood as it was, or refused with what replaces it.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { runProgram } from '../../../src/cli/program.ts'
import { ConfigError } from '../../../src/config/config-error.ts'
import { directoryWith } from '../../support/directory-with.ts'
import { FakeHost } from './fake-host.ts'

async function run(args: readonly string[], environment = {}): Promise<string> {
  const host = new FakeHost(environment)
  await runProgram(args, host, () => Promise.reject(new Error('nothing is to be started here')))
  assert.equal(host.errors, '')
  return host.out
}

describe('the flags of Trow 0.10', () => {
  const cases: [args: string[], shown: RegExp][] = [
    [[], /^bind: "\[::\]:8000" # default\ndata_dir: \.\/data # default$/m],
    [['--bind', '127.0.0.1'], /^bind: 127\.0\.0\.1:8000 # --bind$/m],
    [['--bind', '127.0.0.1:8443'], /^bind: 127\.0\.0\.1:8443 # --bind$/m],
    [['--bind', '::1'], /^bind: "\[::1\]:8000" # --bind$/m],
    [['-d', '/var/trow'], /^data_dir: \/var\/trow # --data-dir$/m],
    [['-d=/var/trow'], /^data_dir: \/var\/trow # --data-dir$/m],
    [['--data-dir=/var/trow'], /^data_dir: \/var\/trow # --data-dir$/m],
    [['-n', 'trow.test'], /^hostname: \[trow\.test\] # --hostname$/m],
    [['-n=trow.test:3833'], /^hostname: \["?trow\.test:3833"?\] # --hostname$/m],
    [['--hostname', 'trow.test'], /^hostname: \[trow\.test\] # --hostname$/m],
    [['-U', 'ann', '-P', 'x'], /^ {2}user: ann # --user$/m],
    [['-U=ann', '-P=x'], /^ {2}user: ann # --user$/m],
    [['--user', 'ann', '--password', 'x'], /^ {2}password: /m],
    [
      ['--cors', 'https://a.test,https://b.test'],
      /^cors: \[https:\/\/a\.test, https:\/\/b\.test\] # --cors$/m,
    ],
  ]
  for (const [args, shown] of cases) {
    test(`as in "trow ${args.join(' ')}"`, async () => {
      assert.match(await run(['check', ...args]), shown)
      assert.match(await run([...args, '--dry-run']), /\nDry run, exiting\.\n$/)
    })
  }

  test('that name files', async (t) => {
    const directory = await directoryWith(t, {
      password: 'x\r\n',
      'trow.yaml': 'registry_proxies:\n',
    })
    const at = (name: string) => join(directory, name)
    await run(['check', '-U', 'ann', '-P', `file://${at('password')}`])
    await run(['check', '--config-file', at('trow.yaml')])
    for (const tls of ['--tls', `--tls=${at('c.crt')},${at('c.key')}`]) {
      await assert.rejects(run(['check', tls]), /--tls: the file .*\.crt does not exist/)
    }
    await assert.rejects(run(['check', `--tls=${at('c.crt')}`]), /--tls: expected .*key/i)
  })

  test('and the variable that it takes its log level from', async () => {
    assert.match(
      await run(['check'], { RUST_LOG: 'warn,trow=debug' }),
      /^log_level: debug # RUST_LOG$/m,
    )
  })

  const former: [args: string[], successor: string][] = [
    [['--host', '0.0.0.0'], "unknown option '--host'; use --bind HOST:PORT"],
    [['--port', '8443'], "unknown option '--port'; use --bind HOST:PORT"],
    [['-p', '8443'], "unknown option '-p'; use --bind HOST:PORT"],
    [['--name', 'trow.test'], "unknown option '--name'; use --hostname NAME"],
    [['--password-file', 'x'], "unknown option '--password-file'; use --password file://PATH"],
    [
      ['--proxy-registry-config-file', 'x.yaml'],
      "unknown option '--proxy-registry-config-file'; use --config-file FILE",
    ],
  ]
  for (const [args, message] of former) {
    test(`and what replaces ${args[0]} of 0.7 or older`, async () => {
      for (const command of [['check'], ['serve'], []]) {
        await assert.rejects(run([...command, ...args]), (error: unknown) => {
          assert.ok(error instanceof ConfigError)
          assert.equal(error.message, message)
          return true
        })
      }
    })
  }
})

describe('the configuration of Trow 0.10', () => {
  const proxy = (...lines: string[]): string =>
    [
      'registry_proxies:',
      '  registries:',
      '  - host: quay.io',
      ...lines.map((line) => `    ${line}`),
    ].join('\n')
  const cases: [key: string, text: string, shown: RegExp][] = [
    ['registry_proxies', 'registry_proxies: null', /^ {2}registries: \[\]/m],
    ['registry_proxies.offline', 'registry_proxies: {offline: true}', /^ {2}offline: true # /m],
    [
      'registry_proxies.max_size',
      'registry_proxies: {max_size: 50GB}',
      /^ {2}max_size: 50000000000 bytes # /m,
    ],
    [
      'registry_proxies.max_size',
      'registry_proxies: {max_size: 1.5 GiB}',
      /^ {2}max_size: 1610612736 bytes # /m,
    ],
    [
      'registry_proxies.max_size',
      'registry_proxies: {max_size: 50000000}',
      /^ {2}max_size: 50000000 bytes # /m,
    ],
    ['registries[].host', proxy(), /host: quay\.io # /],
    ['registries[].path_prefix', proxy('path_prefix: /org/sub/'), /path_prefix: org\/sub # /],
    ['registries[].insecure', proxy('insecure: true'), /insecure: true # /],
    ['registries[].username', proxy('username: ann', 'password: x'), /username: ann # /],
    ['registries[].password', proxy('username: ann', 'password: x'), /password: "?<?\W?\w+/],
    [
      'image_validation',
      'image_validation: {default: Deny, allow: [], deny: []}',
      /^ {2}default: Deny # /m,
    ],
    [
      'image_validation.allow',
      'image_validation: {default: Deny, allow: [a.test/], deny: []}',
      /allow: \[a\.test\/\] # /,
    ],
    [
      'image_validation.deny',
      'image_validation: {default: Allow, allow: [], deny: [a.test/b]}',
      /deny: \[a\.test\/b\] # /,
    ],
  ]
  for (const [key, text, shown] of cases) {
    test(`has ${key}, as in "${text.split('\n').at(-1)?.trim()}"`, async (t) => {
      const directory = await directoryWith(t, { 'trow.yaml': text })
      assert.match(await run(['check', '--config-file', join(directory, 'trow.yaml')]), shown)
    })
  }

  const former: [text: string, message: RegExp][] = [
    [proxy('alias: quay'), /registries\[0\]\.alias: unknown key; leave it out: since Trow 0\.9/],
    [proxy('ignore_repos: [a]'), /unknown key; did you mean "image_mutation\.ignore_repos"\?/],
    [proxy().replace('quay.io', 'https://quay.io'), /registries\[0\]\.host: expected HOST/],
    [proxy().replace('quay.io', '""'), /registries\[0\]\.host: expected HOST/],
  ]
  for (const [text, message] of former) {
    test(`names what is no longer taken: ${text.split('\n').at(-1)?.trim()}`, async (t) => {
      const directory = await directoryWith(t, {})
      const file = join(directory, 'trow.yaml')
      await writeFile(file, text)
      await assert.rejects(run(['check', '--config-file', file]), message)
    })
  }
})

test('what Trow 0.10 says when it starts is said in the same words', async (t) => {
  const text = 'image_validation: {default: Allow, allow: [trow.test/], deny: [toto]}'
  const directory = await directoryWith(t, { 'trow.yaml': text })
  const args = ['--dry-run', '--hostname', 'my.test', '--cors', 'https://trow.test']
  const said = await run([...args, '--config-file', join(directory, 'trow.yaml')])
  const lines = [
    'Hostname of this registry: "my.test"',
    'Image validation webhook configured:\n  Default action: Allow\n' +
      '  Allowed prefixes: ["trow.test/"]\n  Denied prefixes: ["toto"]',
    'Cross-Origin Resource Sharing(CORS) requests are allowed',
    'Dry run, exiting.',
  ]
  for (const line of lines) assert.ok(said.includes(`${line}\n`), line)
  assert.match(await run(['--dry-run']), /^Image validation webhook not configured$/m)
})
