import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { parse as parseToml } from 'smol-toml'
import { parse as parseYaml, parseAllDocuments } from 'yaml'
import type { BottlerocketForm } from '../../../src/node-config/bottlerocket.ts'
import { readContainerdConfig } from '../../../src/node-config/containerd-config.ts'
import { parseMirror } from '../../../src/node-config/mirror.ts'
import { NodeRoot } from '../../../src/node-config/node-root.ts'
import { type PrintableName, printFor } from '../../../src/node-config/printouts.ts'
import { allRegistries, type NodeSettings } from '../../../src/node-config/runtime.ts'
import { directoryWith } from '../../support/directory-with.ts'

const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
const plain: NodeSettings = {
  mirrors: [parseMirror('http://[fd00::1]:30500', {})],
  registries: [allRegistries],
  isFallingBack: true,
}
const secure: NodeSettings = {
  mirrors: [parseMirror('https://trow.example.com', {})],
  registries: ['docker.io', 'registry.internal:5000'] as unknown as NodeSettings['registries'],
  ca: pem,
  isFallingBack: true,
}
const nowhere = { node: new NodeRoot('/nonexistent'), places: {} }

async function print(
  name: PrintableName,
  settings: NodeSettings,
  form: BottlerocketForm = 'settings',
): Promise<string[]> {
  const printouts = await printFor(name, settings, { ...nowhere, form })
  return printouts.map(({ text }) => text)
}

describe('what is printed', () => {
  test('for containerd', async () => {
    const printouts = await printFor('containerd', secure, { ...nowhere, form: 'settings' })
    assert.deepEqual(
      printouts.map(({ title }) => title),
      ['docker.io', 'registry.internal:5000'].flatMap((name) =>
        ['trow-ca.crt', 'hosts.toml'].map((file) => `/etc/containerd/certs.d/${name}/${file}`),
      ),
    )
  })

  test('for CRI-O and podman, with a registry that has a port', async () => {
    const [authority, conf = ''] = await print('crio', secure)
    assert.equal(authority, pem)
    assert.deepEqual(structuredClone(parseToml(conf)), {
      registry: [
        {
          location: 'docker.io',
          mirror: [{ location: 'trow.example.com/f/docker.io' }],
        },
        {
          location: 'registry.internal:5000',
          mirror: [{ location: 'trow.example.com/f/registry.internal_5000' }],
        },
      ],
    })
  })

  test('for CRI-O without fallback: Trow is the registry', async () => {
    const second = parseMirror('http://trow-2:8000', {})
    const settings = {
      ...secure,
      mirrors: [second, secure.mirrors[0]] as const,
      isFallingBack: false,
    }
    const [, conf = ''] = await print('crio', settings)
    const { registry } = structuredClone(parseToml(conf))
    assert.deepEqual((registry as object[])[0], {
      prefix: 'docker.io',
      location: 'trow.example.com/f/docker.io',
      mirror: [{ location: 'trow-2:8000/f/docker.io', insecure: true }],
    })
  })

  test('not for CRI-O with an IPv6 address, which would keep it from pulling anything', async () => {
    await assert.rejects(
      async () => await print('crio', plain),
      /--mirror: .*cannot hold an IPv6 address \(\[fd00::1\]:30500\); use a name/,
    )
  })

  test('for Bottlerocket', async () => {
    const [text = ''] = await print('bottlerocket', plain)
    assert.deepEqual(structuredClone(parseToml(text)), {
      settings: {
        'container-registry': {
          mirrors: [{ registry: '*', endpoint: ['http://[fd00::1]:30500'] }],
        },
      },
    })
    const [call = ''] = await print('bottlerocket', secure, 'apiclient')
    const [, json = ''] = /^apiclient set --json '(.*)'\n$/.exec(call) ?? []
    const settings = await print('bottlerocket', secure)
    assert.deepEqual(
      { settings: JSON.parse(json) as unknown },
      structuredClone(parseToml(settings.join(''))),
    )
  })

  test('for Talos', async () => {
    const [text = ''] = await print('talos', { ...secure, isFallingBack: false })
    const documents = parseAllDocuments(text).map((document) => document.toJS() as unknown)
    const mirror = { apiVersion: 'v1alpha1', kind: 'RegistryMirrorConfig' }
    const rest = { endpoints: [{ url: 'https://trow.example.com' }], skipFallback: true }
    assert.deepEqual(documents, [
      { ...mirror, name: 'docker.io', ...rest },
      { ...mirror, name: 'registry.internal:5000', ...rest },
      { apiVersion: 'v1alpha1', kind: 'RegistryTLSConfig', name: 'trow.example.com', ca: pem },
    ])
    assert.equal(parseYaml((await print('talos', plain)).join('')).name, '*')
  })

  test('for Docker', async () => {
    assert.deepEqual(JSON.parse((await print('docker', plain)).join('')), {
      'registry-mirrors': ['http://[fd00::1]:30500'],
      'insecure-registries': ['[fd00::1]:30500'],
    })
    assert.deepEqual(JSON.parse((await print('docker', secure)).join('')), {
      'registry-mirrors': ['https://trow.example.com'],
    })
  })

  for (const name of ['bottlerocket', 'docker', 'k3s'] as const) {
    test(`for ${name} has no way to say that nobody else is asked`, async () => {
      await assert.rejects(print(name, { ...plain, isFallingBack: false }))
    })
  }
})

/** Answers as the instance metadata service does. */
function fakeCurl(addresses: Readonly<Record<string, string>>): string {
  const cases = Object.entries(addresses).map(
    ([name, address]) => `*/meta-data/${name}) echo ${address}; exit 0;;`,
  )
  return `#!/bin/sh
for last; do :; done
case $last in
http://\\[fd00:ec2::254\\]/*) ${'ipv6' in addresses ? ':' : 'exit 28'};;
esac
case $last in
*/api/token) echo token;;
${cases.join('\n')}
*) exit 22;;
esac
`
}

describe("Bottlerocket's bootstrap container", () => {
  const config = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nenable_selinux = true\n'
  async function bootstrap(t: TestContext, addresses: Record<string, string>, toml = config) {
    const [script = ''] = await print('bottlerocket', plain, 'bootstrap')
    const root = await directoryWith(t, {
      'etc/containerd/config.toml': toml,
      'bin/curl': fakeCurl(addresses),
      'script.sh': script,
    })
    await chmod(join(root, 'bin/curl'), 0o755)
    const env = { PATH: `${join(root, 'bin')}:${process.env['PATH']}`, ROOT: root }
    execFileSync('sh', [join(root, 'script.sh')], { env, stdio: 'pipe' })
    return new NodeRoot(root)
  }

  for (const [family, addresses, url] of [
    ['IPv4', { 'local-ipv4': '10.0.0.7' }, 'http://10.0.0.7:30500'],
    ['IPv6', { ipv6: '2001:db8::7', 'local-ipv4': '10.0.0.7' }, 'http://[2001:db8::7]:30500'],
  ] as const) {
    test(`finds its address by ${family}, and has containerd read it`, async (t) => {
      const node = await bootstrap(t, addresses)
      const hosts = await node.findText('/etc/containerd/certs.d/_default/hosts.toml')
      assert.deepEqual(structuredClone(parseToml(hosts ?? '')), {
        host: { [url]: { capabilities: ['pull', 'resolve'], dial_timeout: '2s' } },
      })
      const { configPath } = await readContainerdConfig(node, '/etc/containerd/config.toml')
      assert.deepEqual(configPath?.directories, ['/etc/containerd/certs.d'])
    })
  }

  test('uses the names of version 3 there, and runs again without harm', async (t) => {
    const node = await bootstrap(t, { 'local-ipv4': '10.0.0.7' }, 'version = 3\n')
    const path = join(node.directory, 'etc/containerd/config.toml')
    const { configPath } = await readContainerdConfig(node, '/etc/containerd/config.toml')
    assert.deepEqual(configPath?.directories, ['/etc/containerd/certs.d'])
    const once = await readFile(path, 'utf8')
    const env = {
      PATH: `${join(node.directory, 'bin')}:${process.env['PATH']}`,
      ROOT: node.directory,
    }
    execFileSync('sh', [join(node.directory, 'script.sh')], { env, stdio: 'pipe' })
    assert.equal(await readFile(path, 'utf8'), once)
  })
})
