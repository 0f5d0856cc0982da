// `trow node-config` as people and a DaemonSet run it: what it says, how it ends, and that it keeps a
// node as it has to be until it is stopped.

import assert from 'node:assert/strict'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { directoryWith } from '../support/directory-with.ts'
import { type CommandResult, runTrow, startTrow } from '../support/run-command.ts'
import { until } from '../support/until.ts'

const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`
const hosts = 'etc/containerd/certs.d/_default/hosts.toml'
const config = `version = 2
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
`

function makeNode(t: TestContext, files: Record<string, string> = {}): Promise<string> {
  return directoryWith(t, { 'etc/containerd/config.toml': config, ...files })
}

function run(command: string, root: string, ...flags: string[]): Promise<CommandResult> {
  return runTrow(['node-config', command, '--root', root, ...flags], {
    environment: { HOST_IP: 'fd00::7' },
  })
}

const mirror = ['--mirror', 'http://$(HOST_IP):30500']

describe('trow node-config', () => {
  test('installs, says so, and takes it away', async (t) => {
    const root = await makeNode(t)
    const installed = await run('install', root, ...mirror)
    assert.equal(installed.code, 0, installed.stderr)
    assert.equal(installed.stdout, `containerd:\nwritten    /${hosts}\n`)
    assert.match(await readFile(join(root, hosts), 'utf8'), /"http:\/\/\[fd00::7\]:30500"/)
    const status = await run('status', root, ...mirror, '--json')
    assert.deepEqual(JSON.parse(status.stdout), {
      runtime: 'containerd',
      files: [{ path: `/${hosts}`, change: 'unchanged' }],
      problems: [],
      notes: [],
    })
    const uninstalled = await run('uninstall', root)
    assert.equal(uninstalled.stdout, `containerd:\nremoved    /${hosts}\n`)
    assert.equal((await run('uninstall', root)).stdout, 'containerd:\nnothing to do\n')
    assert.deepEqual(await readdir(join(root, 'etc/containerd')), ['config.toml'])
  })

  test('ends with 3 when containerd does not read it, and says what to write', async (t) => {
    const root = await makeNode(t, { 'etc/containerd/config.toml': 'version = 3\n' })
    assert.equal((await run('status', root, ...mirror)).code, 1, 'nothing is there yet')
    for (const command of ['install', 'status']) {
      const { code, stdout, stderr } = await run(command, root, ...mirror)
      assert.equal(code, 3)
      assert.match(
        stdout,
        /problem: containerd does not read .*\n.*\n.*cri\.v1\.images"\.registry\]/,
      )
      assert.match(stderr, /^trow: containerd does not use this configuration yet\n$/)
    }
  })

  const wrong: readonly (readonly [flags: string[], problem: RegExp])[] = [
    [[], /required option '--mirror <url>'/],
    [['--mirror', 'trow:8000'], /--mirror: expected http/],
    [[...mirror, '--registry', 'a/b'], /--registry.*without a path/],
    [[...mirror, '--registry', 'registry_5000'], /--registry.*stand for a port/],
    [[...mirror, '--runtime', 'docker'], /Allowed choices are containerd/],
    [[...mirror, '--ca', '/dev/null/ca'], /--ca: .*not a directory/],
    [[...mirror, '--interval', 'soon'], /--interval.*duration/],
  ]
  for (const [flags, problem] of wrong) {
    test(`refuses ${flags.slice(flags.length === 4 ? 2 : 0).join(' ') || 'to go without a mirror'}`, async (t) => {
      const { code, stderr } = await run('install', await makeNode(t), ...flags)
      assert.equal(code, 2, stderr)
      assert.match(stderr, problem)
    })
  }

  test('says in one line what the file system refuses', async (t) => {
    const root = await makeNode(t, { 'etc/containerd/certs.d': 'a file' })
    for (const command of ['install', 'status']) {
      const { code, stderr } = await run(command, root, ...mirror)
      assert.equal(code, 1)
      assert.match(
        stderr,
        /^trow: .*certs\.d.*: a part of this path is no directory\n$|not configured/,
      )
    }
  })

  test('finds out which runtime is there, and says so when there is none', async (t) => {
    const k3s = await directoryWith(t, { 'etc/rancher/k3s/x': '', 'etc/containerd/x': '' })
    assert.match((await run('uninstall', k3s)).stdout, /^k3s:/)
    const crio = await directoryWith(t, { 'etc/crio/x': '', 'etc/containers/x': '' })
    assert.match((await run('uninstall', crio)).stdout, /^crio:/)
    const { code, stderr } = await run('uninstall', await directoryWith(t))
    assert.equal(code, 2)
    assert.match(stderr, /no container runtime found .* --runtime/)
  })
})

describe('trow node-config install --watch', () => {
  test('keeps the node so, follows the authority, and undoes it at the end', async (t) => {
    const theirs = 'server = "https://theirs"\n'
    const root = await makeNode(t, { [hosts]: theirs, 'ca.crt': pem('one') })
    const ca = join(root, 'ca.crt')
    const mirror = ['--mirror', 'https://trow.example.com', '--ca', ca]
    const watch = ['--watch', '--interval', '50ms', '--uninstall-on-exit']
    const watching = startTrow(['node-config', 'install', '--root', root, ...mirror, ...watch])
    const isOurs = async () => (await read(root, hosts)).includes('trow.example.com')
    await until('it is installed', isOurs)
    await writeFile(join(root, hosts), (await read(root, hosts)).replace('trow.example', 'evil'))
    await until('an edit is undone', isOurs)
    await rm(join(root, hosts))
    await until('it is written again', isOurs)
    await writeFile(ca, 'half a fi')
    await writeFile(ca, pem('two'))
    const copy = join(hosts, '../trow-ca.crt')
    await until('the authority is followed', async () => (await read(root, copy)).includes('two'))

    watching.signal('SIGTERM')
    const { code, stdout } = await watching.result
    assert.equal(code, 0)
    assert.equal(await read(root, hosts), theirs)
    assert.deepEqual(await readdir(join(root, hosts, '..')), ['hosts.toml'])
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string })
    assert.equal(lines[0]?.msg, 'this node is configured')
    assert.equal(lines.at(-1)?.msg, 'this node is as it was before')
  })

  test('leaves what it wrote without --uninstall-on-exit, and tells a problem once', async (t) => {
    const root = await makeNode(t, { 'etc/containerd/config.toml': 'version = 3\n' })
    const flags = ['--mirror', 'http://trow:8000', '--interval', '10ms']
    const watching = startTrow(['node-config', 'install', '--root', root, '--watch', ...flags])
    const file = join(root, hosts)
    for (const time of ['once', 'twice']) {
      await until(`it is written ${time}`, async () => (await read(root, hosts)) !== '')
      await rm(file)
    }
    await until('it is written at last', async () => (await read(root, hosts)) !== '')
    watching.signal('SIGTERM')
    const { code, stdout } = await watching.result
    assert.equal(code, 0)
    assert.match(await read(root, hosts), /trow:8000/)
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: string })
    assert.equal(lines.filter(({ level }) => level === 'warn').length, 1, stdout)
  })
})

async function read(root: string, file: string): Promise<string> {
  return await readFile(join(root, file), 'utf8').catch(() => '')
}
