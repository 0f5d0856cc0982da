import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { runProgram } from '../../../src/cli/program.ts'
import { ConfigError } from '../../../src/config/config-error.ts'
import { environmentName, longFlag, settings } from '../../../src/config/settings.ts'
import { version } from '../../../src/config/version.ts'
import { directoryWith } from '../../support/directory-with.ts'
import { FakeHost } from './fake-host.ts'

function startNothing(): Promise<never> {
  throw new Error('nothing is to be started here')
}

async function run(line: string, environment: Record<string, string> = {}): Promise<string> {
  const host = new FakeHost(environment)
  await runProgram(line.split(' ').filter(Boolean), host, startNothing)
  return host.out
}

describe('the flags of trow', () => {
  const cases: [line: string, lines: RegExp][] = [
    ['--dry-run', /^Starting Trow \S+ on \[::\]:8000\n/],
    ['serve --dry-run', /^Starting Trow \S+ on \[::\]:8000\n/],
    ['--dry-run serve', /^Starting Trow \S+ on \[::\]:8000\n/],
    ['--dry-run --bind 127.0.0.1:80', / on 127\.0\.0\.1:80\n/],
    ['--bind=[::1] --dry-run', / on \[::1\]:8000\n/],
    ['-n one --hostname two,three --dry-run', /"one" \(also: "two", "three"\)\n/],
    ['--dry-run --cors https://a --cors https://b', /\(CORS\) requests are allowed\n/],
    ['-U ann -P x --dry-run', /\nDry run, exiting\.\n$/],
  ]
  for (const [line, lines] of cases) {
    test(`work as in "trow ${line}"`, async () => assert.match(await run(line), lines))
  }
  test('are in its help, each with its variable', async () => {
    for (const help of [await run('--help'), await run('serve --help')]) {
      for (const setting of settings) {
        assert.match(help, new RegExp(`${longFlag(setting)}\\b`))
        assert.match(help, new RegExp(`\\(${environmentName(setting)}\\b`))
      }
    }
  })
})

test('the version is printed', async () => {
  assert.equal(await run('--version'), `${version}\n`)
  assert.equal(await run('-V'), `${version}\n`)
})

describe('a wrong command line', () => {
  const cases: [line: string, problem: string | RegExp][] = [
    ['srve', "unknown command 'srve'; did you mean serve?"],
    ['banana', /^unknown command 'banana'; commands are serve, check/],
    ['--bnid x', "unknown option '--bnid' (Did you mean --bind?)"],
    ['serve --dryrun', "unknown option '--dryrun' (Did you mean --dry-run?)"],
    ['check --dry-run', "unknown option '--dry-run'; it is one of trow serve"],
    ['ls --data-dir x', "unknown option '--data-dir'; it is one of trow serve"],
    ['--tls a.crt,a.key', '--tls takes its files after an equals sign: --tls=a.crt,a.key'],
    ['--bind', /^option '--bind <address>' argument missing/],
    ['--dry-run check', 'put the command before its flags: trow check ...'],
    ['--bind x/y', /^--bind: expected HOST/],
    ['--tls=a --dry-run', '--tls: expected CERT,KEY, two files'],
    ['--user u', /^--user: a user needs a password/],
  ]
  for (const [line, problem] of cases) {
    test(`is refused with exit code 2: trow ${line}`, async () => {
      await assert.rejects(run(line), (error) => {
        assert.ok(error instanceof ConfigError)
        assert.equal(error.exitCode, 2)
        if (typeof problem === 'string') assert.equal(error.message, problem)
        else assert.match(error.message, problem)
        return true
      })
    })
  }
  test('takes no word after a bare --tls for its value', async () => {
    await assert.rejects(
      run('--tls serve'),
      /--tls: the file \.\/certs\/domain\.crt does not exist/,
    )
  })
})

test('check tells of no listener of webhooks where there is none', async () => {
  assert.doesNotMatch(await run('check'), /:8443/)
})

test('check prints what would be in force and where it comes from, without secrets', async () => {
  const environment = { TROW_USER: 'ann', TROW_PASSWORD: 'hunter2', TROW_CORS: 'https://a' }
  const text = await run('check --bind 127.0.0.1 -n a,b', environment)
  assert.match(text, /^bind: 127\.0\.0\.1:8000 # --bind$/m)
  assert.match(text, /^data_dir: \.\/data # default$/m)
  assert.match(text, /^hostname: \[a, b\] # --hostname$/m)
  assert.match(text, /^ {2}user: ann # TROW_USER$/m)
  assert.match(text, /^ {2}password: "\[secret\]" # TROW_PASSWORD$/m)
  assert.doesNotMatch(text, /hunter2/)
})

test('check prints entries of registries, and names the files of secrets', async (t) => {
  const auth = Buffer.from('bob:hunter2').toString('base64')
  const directory = await directoryWith(t, {
    pw: 'hunter2',
    'config.json': JSON.stringify({ auths: { 'docker.io': { auth } } }),
    'trow.yaml': [
      'registry_proxies:',
      '  tag_ttl: 90s',
      '  allow_unlisted: ["*.example.com"]',
      '  registries:',
      '  - host: index.docker.io',
      '    docker_config_file: DIR/config.json',
      '    endpoints: [mirror.gcr.io]',
      '  - host: ghcr.io',
      '    username: ann',
      '    password_file: DIR/pw',
      '    connect_timeout: 1500ms',
      '    auth_hosts: [Auth.example.com]',
      '  - {host: quay.io, username: ann, password: hunter2}',
    ].join('\n'),
  })
  const file = join(directory, 'trow.yaml')
  await writeFile(file, (await readFile(file, 'utf8')).replaceAll('DIR', directory))
  const text = await run(`check --config-file ${file}`)
  const section = text
    .slice(text.indexOf('registry_proxies:'), text.indexOf('\nadmission:'))
    .replaceAll(directory, 'DIR')
  assert.deepEqual(section.trim().split('\n'), [
    'registry_proxies:',
    '  offline: false # default',
    '  tag_ttl: 1m30s # DIR/trow.yaml:2:3',
    '  unknown_ttl: 10s # default',
    '  allow_unlisted: ["*.example.com"] # DIR/trow.yaml:3:3',
    '  prefetch: none # default',
    '  registries:',
    '    - host: docker.io # DIR/trow.yaml:5:5',
    '      docker_config_file: DIR/config.json # DIR/trow.yaml:6:5',
    '      insecure: false # default',
    '      skip_verify: false # default',
    '      endpoints: [mirror.gcr.io] # DIR/trow.yaml:7:5',
    '    - host: ghcr.io # DIR/trow.yaml:8:5',
    '      username: ann # DIR/trow.yaml:9:5',
    '      password_file: DIR/pw # DIR/trow.yaml:10:5',
    '      insecure: false # default',
    '      skip_verify: false # default',
    '      endpoints: [] # default',
    '      auth_hosts: [auth.example.com] # DIR/trow.yaml:12:5',
    '      connect_timeout: 1s500ms # DIR/trow.yaml:11:5',
    '    - host: quay.io # DIR/trow.yaml:13:6',
    '      username: ann # DIR/trow.yaml:13:21',
    '      password: "[secret]" # DIR/trow.yaml:13:36',
    '      insecure: false # default',
    '      skip_verify: false # default',
    '      endpoints: [] # default',
  ])
})
