import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseConfigFile } from '../../../src/config/config-file.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { validateLayer } from '../../../src/config/validate.ts'

function problemsOf(text: string): string[] {
  return validateLayer(parseConfigFile('f', text).layer)
}

describe('a wrong setting', () => {
  const cases: [text: string, problem: string][] = [
    ['hostnam: x', 'f:1:1: hostnam: unknown key; did you mean "hostname"?'],
    ['offline: true', 'f:1:1: offline: unknown key; did you mean "registry_proxies.offline"?'],
    ['uploads: {banana: 1}', 'f:1:11: uploads.banana: unknown key; known here: idle_timeout'],
    [
      'registry_proxies:\n  registries:\n    - hots: docker.io\n      host: a\n',
      'f:3:7: registry_proxies.registries[0].hots: unknown key; did you mean "host"?',
    ],
    ['__proto__: {a: 1}', 'f:1:1: __proto__: unknown key; known here: '],
    ['bind: 8000', 'f:1:1: bind: expected text, found a number (quote it if it is text)'],
    ['bind: [a]', 'f:1:1: bind: expected text, found a list'],
    ['auth: x', 'f:1:1: auth: expected keys and values, found text'],
    [
      'auth: {anonymous_pull: "yes"}',
      'f:1:8: auth.anonymous_pull: expected true or false, found text',
    ],
    ['auth: {user: "a:b"}', 'f:1:8: auth.user: a user name may not hold ":" or control characters'],
    [
      'hostname: [a, 5]',
      'f:1:15: hostname[1]: expected text, found a number (quote it if it is text)',
    ],
    ['hostname: https://a', 'f:1:1: hostname[0]: expected HOST, '],
    ['log_level: verbos', 'f:1:1: log_level: expected one of "trace", "debug", '],
    [
      'image_validation: {default: deny}',
      'f:1:20: image_validation.default: expected one of "Allow", "Deny", found "deny"; did you mean "Deny"?',
    ],
    ['image_validation: {allow: []}', 'f:1:1: image_validation.default: is missing'],
    ['tls: {cert: a}', 'f:1:1: tls.key: is missing'],
    [
      'uploads: {idle_timeout: 24}',
      'f:1:11: uploads.idle_timeout: expected a duration such as "30s"',
    ],
    ['uploads: {idle_timeout: 0s}', 'f:1:11: uploads.idle_timeout: expected between 1s and 8760h'],
    ['shutdown_grace: 2h', 'f:1:1: shutdown_grace: expected between 0s and 1h'],
    ['registry_proxies: {max_size: lots}', 'f:1:20: registry_proxies.max_size: expected an amount'],
    ['auth: {password: a, password_file: b}', 'f:1:21: auth.password_file: password is set too'],
  ]
  for (const [text, problem] of cases) {
    test(`is reported: ${problem}`, () => {
      const problems = problemsOf(text)
      assert.equal(problems.length, 1, problems.join('\n'))
      assert.equal(problems[0]?.slice(0, problem.length), problem)
    })
  }
})

test('all problems are reported, in the order of the file', () => {
  const text = 'uploads: 3\nauth:\n  user: 5\n  pasword: x\nbind: /\ncors: [x, 7]\nzzzzzzzz: 1\n'
  assert.deepEqual(
    problemsOf(text).map((line) => line.slice(0, line.indexOf(': '))),
    ['f:1:1', 'f:3:3', 'f:4:3', 'f:5:1', 'f:6:8', 'f:6:11', 'f:7:1'],
  )
})

test('no problem repeats the value of a secret', () => {
  const text =
    'auth: {user: hunter2:x, password: [hunter2]}\n' +
    'registry_proxies: {registries: [{host: a, username: u, password: {hunter2: 1}, passwrd: hunter2}]}'
  const problems = problemsOf(text)
  assert.equal(problems.length, 4)
  for (const problem of problems) assert.doesNotMatch(problem, /hunter2/)
})

describe('what Trow of today reads is read', () => {
  const plainPolicy = {
    allow: [],
    deny: [],
    mode: 'enforce',
    require_digest: false,
    validate_workloads: 'warn',
    enforce_at_pull: false,
    namespaces: [],
    exempt: { namespaces: [], users: [], groups: [], service_accounts: [] },
  }
  const cases: [what: string, text: string, settings: object][] = [
    [
      'sections without content',
      'registry_proxies:\nimage_validation:\n',
      { image_validation: undefined },
    ],
    ['an empty section', 'registry_proxies: {}\n', {}],
    [
      'lists left out',
      'image_validation: {default: Allow}\n',
      { image_validation: { ...plainPolicy, default: 'Allow' } },
    ],
    [
      'a list without entries',
      'image_validation:\n  default: Deny\n  allow:\n  deny:\n',
      { image_validation: { ...plainPolicy, default: 'Deny' } },
    ],
    [
      'registries with prefixes',
      'registry_proxies:\n  max_size: 50GB\n  registries:\n' +
        '  - {host: Registry.example.com, path_prefix: /a/b/, username: u, password: p}\n' +
        '  - {host: "localhost:5000", path_prefix: "", insecure: true}\n',
      {
        registry_proxies: {
          offline: false,
          max_size: 50e9,
          tag_ttl: 0,
          unknown_ttl: 10,
          allow_unlisted: true,
          prefetch: 'none',
          registries: [
            {
              host: 'registry.example.com',
              path_prefix: 'a/b',
              username: 'u',
              password: 'p',
              insecure: false,
              skip_verify: false,
              endpoints: [],
            },
            {
              host: 'localhost:5000',
              path_prefix: '',
              insecure: true,
              skip_verify: false,
              endpoints: [],
            },
          ],
        },
      },
    ],
  ]
  const nothing = configSchema.parse({})
  for (const [what, text, settings] of cases) {
    test(what, () => {
      const { layer, problems } = parseConfigFile('f', text)
      assert.deepEqual(problems, [])
      assert.deepEqual(configSchema.parse(layer.tree), { ...nothing, ...settings })
    })
  }
})
