/**
 * The program as people start it: `bin/trow` in a directory of its own, with an environment of its
 * own; what it prints, how it ends, and how it takes a changed configuration.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { describe, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { version } from '../../src/config/version.ts'
import { directoryWith } from '../support/directory-with.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const trow = join(root, 'bin/trow')

interface Ending {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function start(directory: string, args: readonly string[], environment = {}): ChildProcess {
  return spawn(trow, args, {
    cwd: directory,
    env: { PATH: process.env['PATH'], ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', resolve))
}

/** What it has left running, too. */
function endGroup({ pid }: ChildProcess): void {
  try {
    process.kill(-(pid ?? 0), 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Runs to the end. */
async function run(directory: string, args: readonly string[], environment = {}): Promise<Ending> {
  const child = start(directory, args, environment)
  assert.ok(child.stdout && child.stderr)
  const [code, stdout, stderr] = await Promise.all([
    exitOf(child),
    text(child.stdout),
    text(child.stderr),
  ])
  return { code, stdout, stderr }
}

/** A server that runs until the test is over, and its log, line by line. */
async function serve(t: TestContext, directory: string, args: readonly string[] = []) {
  const child = start(directory, ['--bind', '127.0.0.1:0', '--data-dir', 'data', ...args])
  t.after(() => child.kill('SIGKILL'))
  assert.ok(child.stdout && child.stderr)
  child.stderr.pipe(process.stderr)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const seen: string[] = []
  /** @returns the next line of the log with this message */
  const logged = async (message: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error(`ended without "${message}":\n${seen.join('\n')}`)
      seen.push(value)
      if (!value.startsWith('{')) continue
      const line = JSON.parse(value) as Record<string, unknown>
      if (line['msg'] === message) return line
    }
  }
  const { address } = await logged('ready')
  const ping = async (authorization?: string): Promise<number> => {
    const headers = authorization === undefined ? {} : { authorization }
    const response = await fetch(`${String(address)}/v2/`, { headers })
    await response.arrayBuffer()
    return response.status
  }
  return { child, logged, ping, exit: exitOf(child) }
}

describe('a wrong configuration', () => {
  test('is reported whole, with places, and exits with 2 before anything is touched', async (t) => {
    const directory = await directoryWith(t, {
      'trow.yaml': 'registry_proxies:\n  registries:\n  - hots: a\n\nlog_level: verbose\n',
    })
    const args = ['--config-file', 'trow.yaml', '--user', 'ann', '--password', 'file://missing']
    const { code, stdout, stderr } = await run(directory, args, { TROW_BIND: '8000' })
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.deepEqual(stderr.split('\n'), [
      'trow: the configuration has 5 problems:',
      '  trow.yaml:3:5: registry_proxies.registries[0].host: is missing',
      '  trow.yaml:3:5: registry_proxies.registries[0].hots: unknown key; did you mean "host"?',
      '  trow.yaml:5:1: log_level: expected one of "trace", "debug", "info", "warn", "error", ' +
        '"off", found "verbose"',
      '  TROW_BIND: "8000" is only a port; for all addresses write "[::]:8000"',
      '  --password: the file missing does not exist',
      '',
    ])
    assert.deepEqual(await readdir(directory), ['trow.yaml'])
  })

  const cases: [args: string[], stderr: string][] = [
    [['--bnid', 'x'], "trow: unknown option '--bnid' (Did you mean --bind?)\n"],
    [['srve'], "trow: unknown command 'srve'; did you mean serve?\n"],
    [['--config-file', 'no.yaml'], 'trow: no.yaml: the configuration file does not exist\n'],
    [['--log-level', 'inf', 'check'], 'trow: put the command before its flags: trow check ...\n'],
  ]
  for (const [args, message] of cases) {
    test(`exits with 2 and one line: trow ${args.join(' ')}`, async (t) => {
      const { code, stderr } = await run(await directoryWith(t), args)
      assert.deepEqual([code, stderr], [2, message])
    })
  }
})

describe('a dry run', () => {
  const validation =
    'image_validation:\n  default: Deny\n  allow:\n  - my-trow-domain.trow.io/\n  - k8s.gcr.io/\n' +
    '  deny:\n  - my-trow-domain.trow.io/my-secret-image\n'

  test('prints what a start would print, touches nothing and exits with 0', async (t) => {
    const directory = await directoryWith(t, { 'validation.yaml': validation })
    const args = ['--config-file', './validation.yaml', '--bind', '0.0.0.0', '--dry-run']
    const { code, stdout, stderr } = await run(directory, args)
    assert.equal(code, 0)
    assert.equal(stderr, '')
    assert.deepEqual(stdout.split('\n'), [
      `Starting Trow ${version} on 0.0.0.0:8000`,
      'Hostname of this registry: "0.0.0.0:8000"',
      'Image validation webhook configured:',
      '  Default action: Deny',
      '  Allowed prefixes: ["my-trow-domain.trow.io/", "k8s.gcr.io/"]',
      '  Denied prefixes: ["my-trow-domain.trow.io/my-secret-image"]',
      'Proxy registries not configured',
      'Dry run, exiting.',
      '',
    ])
    assert.deepEqual(await readdir(directory), ['validation.yaml'])
  })

  test('shows that flags are stronger than the environment, and that than files', async (t) => {
    const directory = await directoryWith(t, { 'a.yaml': 'bind: 1.1.1.1\nhostname: file\n' })
    const environment = { TROW_CONFIG_FILE: 'a.yaml', TROW_BIND: '2.2.2.2', TROW_HOSTNAME: 'env' }
    const { stdout } = await run(directory, ['--dry-run', '--bind', '3.3.3.3'], environment)
    assert.match(stdout, /on 3\.3\.3\.3:8000\nHostname of this registry: "env"\n/)
  })

  test('warns of a misspelt variable, not of those that Kubernetes sets', async (t) => {
    const environment = {
      TROW_DATADIR: 'x',
      TROW_PORT: 'tcp://10.0.0.1:80',
      TROW_SERVICE_HOST: 'x',
    }
    const { code, stderr } = await run(await directoryWith(t), ['--dry-run'], environment)
    assert.equal(code, 0)
    assert.equal(
      stderr,
      'trow: warning: TROW_DATADIR is no setting of Trow and is ignored; did you mean TROW_DATA_DIR?\n',
    )
  })
})

test('the version is printed', async (t) => {
  const { code, stdout } = await run(await directoryWith(t), ['--version'])
  assert.deepEqual([code, stdout], [0, `${version}\n`])
})

test('a user without a name or a home can run it, as with DynamicUser', async (t) => {
  const nameless = ['--user', '--map-user=54321']
  const isPossible = spawnSync('unshare', [...nameless, 'true']).status === 0
  if (!isPossible) return t.skip('there is no unshare here, or no user namespace')
  const child = spawn('unshare', [...nameless, trow, '--dry-run'], {
    cwd: await directoryWith(t),
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  assert.equal(await exitOf(child), 0)
})

test('a reader that goes away early is no error', async (t) => {
  const child = start(await directoryWith(t), ['--help'])
  assert.ok(child.stdout && child.stderr)
  child.stdout.destroy()
  const [code, stderr] = await Promise.all([exitOf(child), text(child.stderr)])
  assert.deepEqual([code, stderr], [0, ''])
})

test('a full disk behind standard output is one line and exit code 1', async (t) => {
  const full = openSync('/dev/full', 'w')
  t.after(() => closeSync(full))
  const { status, stderr } = spawnSync(trow, ['check'], {
    cwd: await directoryWith(t),
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  })
  assert.deepEqual([status, stderr], [1, 'trow: ENOSPC: no space left on device, write\n'])
})

test('a port in use is one clear line and exit code 1', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const { code, stderr } = await run(await directoryWith(t), [
    '--bind',
    `127.0.0.1:${address.port}`,
  ])
  assert.equal(code, 1)
  assert.match(stderr, new RegExp(`^trow: .*127\\.0\\.0\\.1:${address.port}.*\n$`))
})

const login = `Basic ${Buffer.from('ann:s3cret').toString('base64')}`
const kept = 'configuration not reloaded, the previous one stays in force'

describe('a running server', { timeout: 60_000 }, () => {
  test('ends with the npm that started it', async (t) => {
    const directory = await directoryWith(t)
    const flags = ['--bind', '127.0.0.1:0', '--data-dir', join(directory, 'data')]
    const npm = spawn('npm', ['start', '--prefix', root, '--', ...flags], {
      env: { PATH: process.env['PATH'], HOME: directory },
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    })
    t.after(() => endGroup(npm))
    const ended = exitOf(npm)
    for await (const line of createInterface({ input: npm.stdout })) {
      const [, address] = /"address":"([^"]+)"/.exec(line) ?? []
      if (address === undefined) continue
      npm.kill('SIGTERM')
      await ended
      await assert.rejects(fetch(`${address}/v2/`))
      return
    }
    assert.fail('it ended before it was ready')
  })

  test('has one line for a request where people read its log', async (t) => {
    const directory = await directoryWith(t)
    const args = ['--bind', '127.0.0.1:0', '--data-dir', 'data', '--log-format', 'pretty']
    const child = start(directory, args)
    t.after(() => child.kill('SIGKILL'))
    assert.ok(child.stdout && child.stderr)
    child.stderr.pipe(process.stderr)
    const after: string[] = []
    for await (const line of createInterface({ input: child.stdout })) {
      const [, address] = /address"?: ?"([^"]+)"/.exec(line) ?? []
      if (address !== undefined) await (await fetch(`${address}/v2/`)).arrayBuffer()
      if (address !== undefined) child.kill('SIGTERM')
      else if (line.includes('/v2/') || after.length > 0) after.push(line)
    }
    const messages = after.map((line) => line.replace(/^\[[\d:.]+\] INFO: /, '').split(' {', 1)[0])
    assert.deepEqual(messages, [
      'GET /v2/ 200',
      'stopping, requests in progress may finish',
      'stopped',
    ])
  })

  test('loads its files again on SIGHUP, keeps the old ones in force while they are broken, and stops with 0', async (t) => {
    const directory = await directoryWith(t, { 'trow.yaml': '', password: 's3cret\n' })
    const { child, logged, ping, exit } = await serve(t, directory, ['--config-file', 'trow.yaml'])
    const file = join(directory, 'trow.yaml')
    assert.equal(await ping(), 200)

    await writeFile(file, 'auth:\n  user: ann\n  password_file: password\n')
    child.kill('SIGHUP')
    await logged('configuration reloaded')
    assert.equal(await ping(), 401)
    assert.equal(await ping(login), 200)

    await writeFile(file, 'auth:\n  usr: ann\n')
    child.kill('SIGHUP')
    const { problems } = await logged(kept)
    assert.deepEqual(problems, ['trow.yaml:2:3: auth.usr: unknown key; did you mean "user"?'])
    assert.equal(await ping(), 401)

    await writeFile(file, '')
    child.kill('SIGHUP')
    await logged('configuration reloaded')
    assert.equal(await ping(), 200)

    child.kill('SIGTERM')
    await logged('stopped')
    assert.equal(await exit, 0)
  })

  test('notices a changed file by itself', async (t) => {
    const directory = await directoryWith(t, {
      'trow.yaml': 'auth:\n  user: ann\n  password_file: password\n',
      password: 'old\n',
    })
    const { logged, ping } = await serve(t, directory, ['--config-file', 'trow.yaml'])
    assert.equal(await ping(login), 401)
    await writeFile(join(directory, 'password'), 's3cret\n')
    const { reason } = await logged('configuration reloaded')
    assert.equal(reason, 'changed: password')
    assert.equal(await ping(login), 200)
  })

  test('says what a reload cannot change', async (t) => {
    const directory = await directoryWith(t, { 'trow.yaml': '' })
    const { child, logged, ping } = await serve(t, directory, ['--config-file', 'trow.yaml'])
    await writeFile(join(directory, 'trow.yaml'), 'log_format: json\n')
    child.kill('SIGHUP')
    const { keys } = await logged('a change of log_format needs a restart, the rest is applied')
    assert.deepEqual(keys, ['log_format'])
    assert.equal(await ping(), 200)
  })
})
