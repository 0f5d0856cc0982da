import assert from 'node:assert/strict'
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import {
  inspectNode,
  installOnNode,
  uninstallFromNode,
} from '../../../src/node-config/configure-node.ts'
import { parseMirror } from '../../../src/node-config/mirror.ts'
import { NodeRoot } from '../../../src/node-config/node-root.ts'
import { allRegistries, type NodeSettings } from '../../../src/node-config/runtime.ts'
import { type InstallableName, makeRuntime } from '../../../src/node-config/runtimes.ts'
import { takeSnapshot } from '../../support/directory-snapshot.ts'
import { directoryWith } from '../../support/directory-with.ts'

const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
const hostsToml = 'etc/containerd/certs.d/_default/hosts.toml'

function settingsFor(
  url = 'http://10.0.0.1:30500',
  more: Partial<NodeSettings> = {},
): NodeSettings {
  const mirrors = [parseMirror(url, {})] as const
  return { mirrors, registries: [allRegistries], isFallingBack: true, ...more }
}

/** A node with a runtime, and what can be done with it. */
async function makeNode(t: TestContext, name: InstallableName, files: Record<string, string> = {}) {
  const directory = await directoryWith(t, files)
  const node = new NodeRoot(directory)
  const runtime = makeRuntime(name, {})
  return {
    directory,
    path: (file: string) => join(directory, file),
    read: (file: string) => readFile(join(directory, file), 'utf8'),
    install: (settings = settingsFor()) => installOnNode(runtime, settings, node),
    status: (settings = settingsFor()) => inspectNode(runtime, settings, node),
    uninstall: () => uninstallFromNode(runtime, node),
    snapshot: () => takeSnapshot(directory),
  }
}

const nodes: Readonly<Record<InstallableName, Record<string, string>>> = {
  containerd: {
    'etc/containerd/config.toml': 'version = 2\n',
    [hostsToml]: '# ours since 2019\nserver = "https://x"\n',
    'etc/containerd/certs.d/quay.io/hosts.toml': '[host."https://m"]\n',
  },
  crio: { 'etc/containers/registries.conf.d/trow.conf': '[[registry]]\nlocation = "x"\n' },
  podman: { 'etc/containers/registries.conf.d/00-short.conf': '[aliases]\n' },
  k3s: { 'etc/rancher/k3s/registries.yaml': 'mirrors:\n  x: {endpoint: ["http://y"]} # kept\n' },
  rke2: { 'etc/rancher/rke2/config.yaml': 'token: x\n' },
}

for (const [name, files] of Object.entries(nodes) as [InstallableName, Record<string, string>][]) {
  describe(`a node with ${name}`, () => {
    for (const [what, initial] of [
      ['with files of its own', files],
      ['with nothing', {}],
    ] as const) {
      for (const [url, ca] of [
        ['http://10.0.0.1:30500', undefined],
        ['https://trow.example.com', pem],
      ] as const) {
        test(`${what} is as it was after install and uninstall, at ${url}`, async (t) => {
          const node = await makeNode(t, name, initial)
          const settings = settingsFor(url, ca === undefined ? {} : { ca })
          const before = await node.snapshot()
          const first = await node.install(settings)
          assert.ok(first.files.length > 0)
          assert.ok(first.files.every(({ change }) => change === 'written'))
          const installed = await node.snapshot()
          const again = await node.install(settings)
          assert.ok(again.files.every(({ change }) => change === 'unchanged'))
          assert.deepEqual(await node.snapshot(), installed, 'the second time changes nothing')
          const status = await node.status(settings)
          assert.ok(status.files.every(({ change }) => change === 'unchanged'))
          await node.uninstall()
          assert.deepEqual(await node.snapshot(), before)
          assert.deepEqual(await node.uninstall(), [])
        })
      }
    }
  })
}

describe('an installation', () => {
  test('follows a new address, registries and an authority', async (t) => {
    const node = await makeNode(t, 'containerd')
    const registries = ['docker.io', 'quay.io'] as unknown as NodeSettings['registries']
    await node.install(settingsFor('http://10.0.0.1:1', { registries }))
    assert.match(await node.read('etc/containerd/certs.d/quay.io/hosts.toml'), /10\.0\.0\.1:1"/)
    await node.install(settingsFor('https://10.0.0.2', { ca: pem }))
    assert.deepEqual((await readdir(node.path('etc/containerd/certs.d'))).sort(), ['_default'])
    assert.match(await node.read(hostsToml), /10\.0\.0\.2"[^]*ca = "trow-ca\.crt"/)
    await node.install(settingsFor('http://10.0.0.3:1'))
    assert.deepEqual(await readdir(node.path('etc/containerd/certs.d/_default')), ['hosts.toml'])
    await node.uninstall()
    assert.deepEqual(await readdir(node.directory), [])
  })

  test('keeps the mode and the owner of what it adds to', async (t) => {
    const file = 'etc/rancher/k3s/registries.yaml'
    const node = await makeNode(t, 'k3s', { [file]: 'configs: {x: {auth: {password: y}}}\n' })
    await chmod(node.path(file), 0o600)
    const before = await node.snapshot()
    await node.install()
    assert.equal((await stat(node.path(file))).mode & 0o777, 0o600)
    assert.match(await node.read(file), /password: y/)
    await node.install(settingsFor('http://10.0.0.9:1'))
    assert.equal((await stat(node.path(file))).mode & 0o777, 0o600)
    await node.uninstall()
    assert.deepEqual(await node.snapshot(), before)
  })

  test('gives back a symbolic link, and what it leads to untouched', async (t) => {
    const node = await makeNode(t, 'containerd', { 'srv/hosts.toml': 'server = "https://x"\n' })
    await mkdir(node.path('etc/containerd/certs.d/_default'), { recursive: true })
    await symlink('/srv/hosts.toml', node.path(hostsToml))
    const before = await node.snapshot()
    await node.install()
    assert.match(await node.read(hostsToml), /server = "https:\/\/x"/)
    await node.uninstall()
    assert.deepEqual(await node.snapshot(), before)
  })

  test('does not leave the node by a link in a directory', async (t) => {
    const node = await makeNode(t, 'containerd', { 'data/containerd/x': '' })
    const outside = await directoryWith(t)
    await mkdir(node.path('etc'))
    await symlink('/data/containerd', node.path('etc/containerd'))
    await mkdir(node.path('data/containerd/certs.d'))
    await symlink(join('../../../../../../../..', outside), node.path('data/containerd/certs.d/a'))
    await node.install()
    assert.match(await node.read('data/containerd/certs.d/_default/hosts.toml'), /10\.0\.0\.1/)
    assert.deepEqual(await readdir(outside), [])
    await node.uninstall()
    assert.deepEqual(await readdir(node.path('data/containerd')), ['certs.d', 'x'])
  })

  test('leaves a directory in which somebody has put something since', async (t) => {
    const node = await makeNode(t, 'containerd')
    await node.install()
    await mkdir(node.path('etc/containerd/certs.d/quay.io'))
    await writeFile(node.path('etc/containerd/certs.d/quay.io/hosts.toml'), '')
    await node.uninstall()
    assert.deepEqual(await readdir(node.path('etc/containerd/certs.d')), ['quay.io'])
  })
})

describe('what others do to our file', () => {
  test('an edit is overwritten', async (t) => {
    const node = await makeNode(t, 'containerd')
    await node.install()
    const installed = await node.read(hostsToml)
    await writeFile(node.path(hostsToml), `${installed}[host."https://else"]\n`)
    assert.deepEqual((await node.status()).files[0]?.change, 'changed')
    assert.deepEqual((await node.install()).files[0]?.change, 'written')
    assert.equal(await node.read(hostsToml), installed)
  })

  test('a file in its place is theirs, and comes back', async (t) => {
    const node = await makeNode(t, 'containerd', { [hostsToml]: '# one\n' })
    await node.install()
    await rm(node.path(hostsToml))
    await writeFile(node.path(hostsToml), '# two\nserver = "https://two"\n')
    assert.deepEqual((await node.status()).files[0]?.change, 'missing')
    await node.install()
    assert.match(await node.read(hostsToml), /10\.0\.0\.1[^]*|https:\/\/two/)
    await node.uninstall()
    assert.equal(await node.read(hostsToml), '# two\nserver = "https://two"\n')
    assert.deepEqual(await readdir(node.path('etc/containerd/certs.d/_default')), ['hosts.toml'])
  })

  test('a file in its place stays when we leave', async (t) => {
    const node = await makeNode(t, 'containerd', { [hostsToml]: '# one\n' })
    await node.install()
    await rm(node.path(hostsToml))
    await writeFile(node.path(hostsToml), '# two\n')
    assert.deepEqual(await node.uninstall(), [{ path: `/${hostsToml}`, change: 'kept' }])
    assert.equal(await node.read(hostsToml), '# two\n')
    assert.deepEqual(await readdir(node.path('etc/containerd/certs.d/_default')), ['hosts.toml'])
  })

  test('a deleted one is written again, and what was there before us comes back', async (t) => {
    const node = await makeNode(t, 'containerd', { [hostsToml]: '# one\n' })
    const before = await node.snapshot()
    await node.install()
    await rm(node.path(hostsToml))
    await node.install()
    assert.match(await node.read(hostsToml), /10\.0\.0\.1/)
    await rm(node.path(hostsToml))
    await node.uninstall()
    assert.deepEqual(await node.snapshot(), before)
  })
})

test('certificates of a registry go on to count for it, behind a hosts.toml', async (t) => {
  const directory = 'etc/containerd/certs.d/registry.internal'
  const node = await makeNode(t, 'containerd', {
    [`${directory}/ca.crt`]: pem,
    [`${directory}/client.cert`]: pem,
    [`${directory}/client.key`]: 'key',
  })
  const before = await node.snapshot()
  const registries = ['registry.internal'] as unknown as NodeSettings['registries']
  const settings = settingsFor('https://trow.example.com', { registries, ca: pem })
  for (const time of ['once', 'again']) {
    await node.install(settings)
    const text = await node.read(`${directory}/hosts.toml`)
    assert.match(text, /^ca = \["ca\.crt"\]$/m, time)
    assert.match(text, /^client = \[\["client\.cert","client\.key"\]\]$/m, time)
  }
  await node.uninstall()
  assert.deepEqual(await node.snapshot(), before)
})

test('files of others are never touched', async (t) => {
  const node = await makeNode(t, 'containerd', {
    'etc/containerd/certs.d/docker.io/hosts.toml': '[host."https://m"]\n',
    'etc/containerd/certs.d/docker.io/ca.crt': pem,
    'etc/containerd/certs.d/_default/ca.crt': pem,
  })
  await utimes(node.path('etc/containerd/certs.d/_default/ca.crt'), 1, 1)
  const before = await node.snapshot()
  const { notes } = await node.install()
  assert.match(notes.join(), /--registry _default --registry docker\.io/)
  const after = await node.snapshot()
  for (const [path, was] of Object.entries(before)) assert.deepEqual(after[path], was, path)
  await node.uninstall()
  assert.deepEqual(await node.snapshot(), before)
})
