import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseConfigFile } from '../../../src/config/config-file.ts'

describe('text that is no configuration file', () => {
  const cases: [what: string, text: string, problem: string][] = [
    ['a key given twice', 'cors: a\ncors: b\n', 'f:2:1: this key is in the file twice'],
    [
      'a second document',
      'bind: a\n---\nbind: b\n',
      'f:2:1: a second document begins here; the file must hold one',
    ],
    ['a list', '- bind\n', 'f:1:1: expected keys and values at the top of the file'],
    ['plain text', 'bind\n', 'f:1:1: expected keys and values at the top of the file'],
    [
      'IPv6 without quotes',
      'data_dir: x\nbind: [::]:8000\n',
      'f:2:11: an address in brackets needs quotes: "[::]:PORT"',
    ],
    ['a quote left open', 'bind: "x\n', 'f:2:1: Missing closing "quote'],
    [
      'text that begins with "*"',
      'hosts:\n  - *.example.com\n',
      'f:2:5: "*.example.com" stands for nothing; text that begins with "*" needs quotes',
    ],
    ['a tab', 'auth:\n\tuser: x\n', 'f:2:1: Tabs are not allowed as indentation'],
  ]
  for (const [what, text, problem] of cases) {
    test(`${what} is refused with its place`, () => {
      const { problems, layer } = parseConfigFile('f', text)
      assert.equal(problems[0], problem)
      assert.deepEqual(layer.tree, {})
    })
  }
  test('nesting beyond any measure is refused', () => {
    assert.match(parseConfigFile('f', '['.repeat(100_000)).problems[0] ?? '', /nested too deeply/)
  })
  test('aliases that expand without measure are refused', () => {
    const levels = Array.from({ length: 9 }, (_, level) => {
      const below = level === 0 ? '[x]' : `[${`*a${level - 1}, `.repeat(9)}]`
      return `a${level}: &a${level} ${below}`
    })
    assert.match(parseConfigFile('f', levels.join('\n')).problems[0] ?? '', /alias/)
  })
})

describe('a file without settings', () => {
  for (const text of ['', '\n', '# only a comment\n', '---\n', 'null\n', '\uFEFF']) {
    test(`${JSON.stringify(text)} is one`, () => {
      const { problems, layer } = parseConfigFile('f', text)
      assert.deepEqual([problems, layer.tree], [[], {}])
    })
  }
})

describe('the place of a key', () => {
  const text = [
    'bind: x',
    'auth: {user: a, password: b}',
    'registry_proxies:',
    '  registries:',
    '    - host: one',
    '    - &two',
    '      host: two',
    'cors: [a,',
    '  b]',
    'copy: *two',
  ].join('\n')
  const { layer } = parseConfigFile('f.yaml', text)
  const cases: [path: (string | number)[], place: string][] = [
    [['bind'], 'f.yaml:1:1: bind'],
    [['auth', 'password'], 'f.yaml:2:17: auth.password'],
    [
      ['registry_proxies', 'registries', 1, 'host'],
      'f.yaml:7:7: registry_proxies.registries[1].host',
    ],
    [['cors', 1], 'f.yaml:9:3: cors[1]'],
    [['copy', 'host'], 'f.yaml:7:7: copy.host'],
    [['auth', 'missing'], 'f.yaml:2:1: auth.missing'],
    [['odd key'], 'f.yaml:1:1: "odd key"'],
  ]
  for (const [path, place] of cases) {
    test(`${path.join('.')} is at ${place}`, () => assert.equal(layer.locate(path).text, place))
  }
})
