import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse as parseToml, type TomlTable } from 'smol-toml'
import { formatHostsToml } from '../../../src/node-config/hosts-toml.ts'
import { parseMirror } from '../../../src/node-config/mirror.ts'
import { allRegistries, type NodeSettings } from '../../../src/node-config/runtime.ts'

const settings: NodeSettings = {
  mirrors: [parseMirror('http://10.0.0.1:30500', {})],
  registries: [allRegistries],
  isFallingBack: true,
}
function parse(text: string): TomlTable {
  return structuredClone(parseToml(text))
}

const ours = { capabilities: ['pull', 'resolve'], dial_timeout: '2s' }

describe('hosts.toml', () => {
  test('asks Trow first, and the registry itself when Trow is away', () => {
    const text = formatHostsToml(settings)
    assert.deepEqual(parse(text), { host: { 'http://10.0.0.1:30500': ours } })
  })

  test('asks several in their order', () => {
    const second = parseMirror('https://trow.example.com', {})
    const text = formatHostsToml({ ...settings, mirrors: [...settings.mirrors, second], ca: 'PEM' })
    assert.deepEqual(Object.entries(parse(text)['host'] as object), [
      ['http://10.0.0.1:30500', ours],
      ['https://trow.example.com', { ...ours, ca: 'trow-ca.crt' }],
    ])
  })

  test('asks nobody else without fallback, whatever was there', () => {
    const before = 'server = "https://registry-1.docker.io"\n[host."https://mirror.gcr.io"]\n'
    const text = formatHostsToml({ ...settings, isFallingBack: false }, before)
    const server = 'http://10.0.0.1:30500'
    assert.deepEqual(parse(text), { server, capabilities: ['pull', 'resolve'] })
  })
})

describe('a hosts.toml that somebody else wrote', () => {
  const cases: [name: string, before: string][] = [
    [
      'with hosts',
      '# mine\nserver = "https://x"\n\n[host."https://m"]\n  capabilities = ["pull"]\n',
    ],
    ['with a server alone', 'server = "https://x"\nca = "/x/ca.crt"'],
    ['with hosts alone', '[host."https://m".header]\nx = "y"\n'],
    [
      'with lists of several lines',
      'client = [\n  ["a", "b"],\n["c", "d"]\n]\n[host."https://m"]\n',
    ],
    ['with a string like a table', 'ca = """\n[host."http://no"]\n"""\n[host."https://m"]\n'],
    [
      'with Windows line ends',
      'server = "https://x"\r\n[host."https://m"]\r\nskip_verify = true\r\n',
    ],
    ['of comments', '# nothing yet\n'],
    ['that is empty', ''],
  ]
  for (const [name, before] of cases) {
    test(`goes on to count after ours: ${name}`, () => {
      const text = formatHostsToml(settings, before)
      const theirs = parse(before)
      const hosts = (theirs['host'] ?? {}) as object
      assert.deepEqual(parse(text), {
        ...theirs,
        host: { 'http://10.0.0.1:30500': ours, ...hosts },
      })
      assert.equal(Object.keys(parse(text)['host'] as object)[0], 'http://10.0.0.1:30500')
      for (const line of before.split('\n')) assert.ok(text.includes(line), line)
    })
  }

  test('that has our mirror already stays as it is', () => {
    const before = '[host."http://10.0.0.1:30500"]\ncapabilities = ["pull"]\n'
    assert.deepEqual(parse(formatHostsToml(settings, before)), parse(before))
  })

  test('that containerd cannot read either is left out', () => {
    assert.equal(formatHostsToml(settings, 'server = = 1'), formatHostsToml(settings))
  })
})
