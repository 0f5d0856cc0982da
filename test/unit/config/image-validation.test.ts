import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { parseConfigFile } from '../../../src/config/config-file.ts'
import { limits } from '../../../src/config/limits.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { validateLayer } from '../../../src/config/validate.ts'
import { directoryWith } from '../../support/directory-with.ts'

async function load(t: TestContext, text: string, flags: Record<string, string[]> = {}) {
  const directory = await directoryWith(t, { 'trow.yaml': text })
  const file = join(directory, 'trow.yaml')
  const all = new Map(Object.entries({ '--config-file': [file], ...flags }))
  return loadConfig({ flags: all, environment: {} })
}

function problemsOf(text: string): string[] {
  const { layer, problems } = parseConfigFile('f', `image_validation: ${text}`)
  return [...problems, ...validateLayer(layer)]
}

test('all that can be said of images is read', async (t) => {
  const { config, warnings } = await load(
    t,
    `image_validation:
  default: Deny
  mode: warn
  require_digest: true
  validate_workloads: deny
  enforce_at_pull: true
  allow:
    - registry.example.com/
    - image: quay.io/team/*
      message: the team's own
  deny: [{image: '**:latest'}]
  namespaces:
    - names: team-*
      inherit: false
      default: Allow
      mode: audit
      require_digest: false
      validate_workloads: off
      deny: [ghcr.io]
  exempt:
    namespaces: kube-system
    users: ["system:node:*"]
    groups: ["system:masters"]
    service_accounts: ["kube-system:*"]
hostname: registry.example.com
`,
  )
  assert.deepEqual(warnings, [])
  assert.deepEqual(config.imageValidation, {
    default: 'Deny',
    mode: 'warn',
    requireDigest: true,
    validateWorkloads: 'deny',
    enforceAtPull: true,
    allow: [
      { image: 'registry.example.com/' },
      { image: 'quay.io/team/*', message: "the team's own" },
    ],
    deny: [{ image: '**:latest' }],
    namespaces: [
      {
        names: ['team-*'],
        inherit: false,
        default: 'Allow',
        mode: 'audit',
        requireDigest: false,
        validateWorkloads: 'off',
        allow: [],
        deny: [{ image: 'ghcr.io' }],
      },
    ],
    exempt: {
      namespaces: ['kube-system'],
      users: ['system:node:*'],
      groups: ['system:masters'],
      serviceAccounts: ['kube-system:*'],
    },
  })
})

describe('what is wrong is said with its place', () => {
  const cases: [text: string, problem: string][] = [
    [
      '{default: Deny, mod: warn}',
      'f:1:35: image_validation.mod: unknown key; did you mean "mode"?',
    ],
    [
      '{default: Deny, mode: wran}',
      'f:1:35: image_validation.mode: expected one of "enforce", "warn", "audit", found "wran"; did you mean "warn"?',
    ],
    [
      '{default: Deny, allow: [quay.io/a**]}',
      'f:1:43: image_validation.allow[0].image: "**" stands for whole parts of a name, ' +
        'so there has to be "/" on both sides of it; within a part write "*"',
    ],
    ['{default: Deny, allow: [""]}', 'f:1:43: image_validation.allow[0].image: is empty'],
    ['{default: Deny, deny: [{message: x}]}', 'f:1:42: image_validation.deny[0].image: is missing'],
    [
      '{default: Deny, deny: [{image: a, pattern: b}]}',
      'f:1:53: image_validation.deny[0].pattern: unknown key; known here: image, message',
    ],
    [
      `{default: Deny, deny: [{image: a, message: ${'x'.repeat(limits.ruleMessageLengthMax + 1)}}]}`,
      `f:1:53: image_validation.deny[0].message: is longer than ${limits.ruleMessageLengthMax} characters`,
    ],
    [
      '{default: Deny, namespaces: [{allow: []}]}',
      'f:1:48: image_validation.namespaces[0].names: is missing',
    ],
    [
      '{default: Deny, namespaces: [{names: []}]}',
      'f:1:49: image_validation.namespaces[0].names: is empty: no namespace would have these rules',
    ],
    [
      '{default: Deny, namespaces: [{names: [Team]}]}',
      'f:1:57: image_validation.namespaces[0].names[0]: expected the name of a namespace, in which "*" stands for any characters',
    ],
    [
      '{default: Deny, exempt: {service_accounts: [builder]}}',
      'f:1:63: image_validation.exempt.service_accounts[0]: expected NAMESPACE:NAME of a service account, in which "*" stands for any characters',
    ],
  ]
  for (const [text, problem] of cases) {
    test(text.slice(0, 60), () => assert.deepEqual(problemsOf(text), [problem]))
  }
})

describe('a warning', () => {
  test('is given for a rule that fits no image, with the rule that was probably meant', async (t) => {
    const { warnings } = await load(
      t,
      'image_validation: {default: Deny, allow: [nginx, quay.io/A]}',
    )
    assert.deepEqual(warnings, [
      'image_validation.allow[0]: "nginx" fits no image: images are judged by their full names, ' +
        'which begin with the registry; did you mean "docker.io/library/nginx"?',
      'image_validation.allow[1]: "quay.io/A" fits no image: repositories are lower case; ' +
        'did you mean "quay.io/a"?',
    ])
  })
  test('is given for a rule of allow that deny has, too', async (t) => {
    const { warnings } = await load(
      t,
      'image_validation: {default: Deny, allow: [a.io], deny: [A.io]}',
    )
    assert.deepEqual(warnings, [
      'image_validation.allow[0]: "a.io" has no effect, as deny has the same',
    ])
  })
  test('is given for a namespace that an earlier entry is for', async (t) => {
    const { warnings } = await load(
      t,
      'image_validation: {default: Deny, namespaces: [{names: "a*"}, {names: [b, ab]}]}',
    )
    assert.deepEqual(warnings, [
      'image_validation.namespaces[1].names[1]: namespaces[0] is for "ab", too, and comes first',
    ])
  })
  test('is given where pulls are judged by names that the registry does not have', async (t) => {
    const text = 'image_validation: {default: Deny, enforce_at_pull: true}'
    assert.match(
      (await load(t, text)).warnings.join(),
      /without --hostname no rule can be for them/,
    )
    assert.deepEqual((await load(t, text, { '--hostname': ['a.example'] })).warnings, [])
  })
  test('stands for those of its kind beyond a hundred', async (t) => {
    const rules = Array.from({ length: 200 }, (_, index) => `nginx${index}`).join(', ')
    const { warnings } = await load(t, `image_validation: {default: Deny, allow: [${rules}]}`)
    assert.equal(warnings.length, limits.configProblemsShownMax + 1)
    assert.equal(warnings.at(-1), 'image_validation: there is more of this kind')
  })
})
