import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { StartError } from '../../../src/lib/start-error.ts'
import { parseMirror } from '../../../src/node-config/mirror.ts'
import { NodeRoot } from '../../../src/node-config/node-root.ts'
import { formatRegistriesYaml } from '../../../src/node-config/rancher.ts'
import { allRegistries, type NodeSettings } from '../../../src/node-config/runtime.ts'
import { makeRuntime } from '../../../src/node-config/runtimes.ts'
import { directoryWith } from '../../support/directory-with.ts'

const settings: NodeSettings = {
  mirrors: [parseMirror('https://trow.example.com', {})],
  registries: [allRegistries, 'docker.io' as NodeSettings['registries'][number]],
  isFallingBack: true,
}
const file = '/etc/rancher/k3s/registries.yaml'

function format(before?: string, ca?: string): string {
  return formatRegistriesYaml(settings, { file, before, ca })
}

describe('registries.yaml', () => {
  test('has our mirror, and the authority for it', () => {
    const mirror = { endpoint: ['https://trow.example.com'] }
    assert.deepEqual(parse(format(undefined, '/etc/rancher/k3s/trow-ca.crt')), {
      mirrors: { '*': mirror, 'docker.io': mirror },
      configs: { 'trow.example.com': { tls: { ca_file: '/etc/rancher/k3s/trow-ca.crt' } } },
    })
  })

  test('keeps what others wrote, after ours', () => {
    const before = `# By hand.
mirrors:
  docker.io:
    endpoint: [https://mirror.gcr.io, https://trow.example.com]
    rewrite:
      "^x": y # and this
configs:
  registry.internal:
    auth: { username: u, password: p }
`
    const text = format(before)
    assert.match(text, /# By hand\.[^]*# and this/)
    assert.deepEqual(parse(text), {
      mirrors: {
        'docker.io': {
          endpoint: ['https://trow.example.com', 'https://mirror.gcr.io'],
          rewrite: { '^x': 'y' },
        },
        '*': { endpoint: ['https://trow.example.com'] },
      },
      configs: { 'registry.internal': { auth: { username: 'u', password: 'p' } } },
    })
  })

  for (const [what, before] of [
    ['empty', ''],
    ['of comments', '# nothing\n'],
    ['without mirrors', 'mirrors:\nconfigs:\n'],
    ['with a registry alone', 'mirrors:\n  docker.io:\n'],
  ] as const) {
    test(`takes a file that is ${what}`, () => {
      assert.deepEqual(parse(format(before)).mirrors['docker.io'], {
        endpoint: ['https://trow.example.com'],
      })
    })
  }

  for (const before of ['- a list\n', 'mirrors: [\n', 'text\n']) {
    test(`refuses what would be lost: ${JSON.stringify(before)}`, () => {
      assert.throws(() => format(before), StartError)
    })
  }

  test('cannot say that nobody else is asked', () => {
    assert.throws(
      () =>
        formatRegistriesYaml(
          { ...settings, isFallingBack: false },
          { file, before: undefined, ca: undefined },
        ),
      /--disable-default-registry-endpoint/,
    )
  })
})

describe('k3s has read it', () => {
  const made = 'var/lib/rancher/k3s/agent/etc/containerd/certs.d'
  const ours = '[host."https://trow.example.com/v2"]\n'
  const cases: [what: string, files: Record<string, string>, problems: number, notes: number][] = [
    ['nobody can see', {}, 0, 1],
    ['not yet', { [`${made}/quay.io/hosts.toml`]: ours }, 1, 0],
    ['in part', { [`${made}/_default/hosts.toml`]: ours }, 1, 0],
    [
      'wholly',
      { [`${made}/_default/hosts.toml`]: ours, [`${made}/docker.io/hosts.toml`]: ours },
      0,
      0,
    ],
  ]
  for (const [what, files, problems, notes] of cases) {
    test(what, async (t) => {
      const node = new NodeRoot(await directoryWith(t, files))
      const found = await makeRuntime('k3s', {}).inspect(settings, node)
      assert.deepEqual([found.problems.length, found.notes.length], [problems, notes])
    })
  }
})
