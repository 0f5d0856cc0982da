import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { placeOf } from '../../../src/admission/rule-set.ts'
import { isAllowedBy, isDeniedBy, judge, makePolicy } from './judge.ts'

const guide = {
  allow: ['my-trow-domain.trow.io/', 'k8s.gcr.io/'],
  deny: ['my-trow-domain.trow.io/my-secret-image'],
}
const byDefault = 'Image is neither explicitly allowed nor denied (using default behavior)'
const digest = `sha256:${'a'.repeat(64)}`

describe("the user guide's policy", () => {
  const cases: [image: string, isAllowed: boolean, reason: string][] = [
    ['my-trow-domain.trow.io/app:1', true, 'Image explicitly allowed'],
    ['k8s.gcr.io/pause:3.1', true, 'Image explicitly allowed'],
    ['my-trow-domain.trow.io/my-secret-image', false, 'Image explicitly denied'],
    ['my-trow-domain.trow.io/my-secret-image-2:1', false, 'Image explicitly denied'],
    ['my_registry.io/nginx', false, byDefault],
    ['nginx', false, byDefault],
    ['Not An Image', false, 'Invalid image reference'],
    ['', false, 'Invalid image reference'],
  ]
  for (const [image, isAllowed, reason] of cases) {
    test(`says of "${image}": ${reason}`, () => {
      const judgement = judge(guide, image)
      assert.equal(judgement.isAllowed, isAllowed)
      assert.equal(judgement.reason, reason)
    })
  }
  test('lets run what no rule fits when the default is Allow', () => {
    const { isAllowed, reason } = judge({ ...guide, default: 'Allow' }, 'nginx')
    assert.ok(isAllowed)
    assert.equal(reason, byDefault)
  })
  test('says what is wrong with an image that is none', () => {
    assert.match(judge(guide, 'quay.io/App').detail ?? '', /lower case/)
  })
})

describe('of several rules', () => {
  const cases: [allow: string[], deny: string[], image: string, rule: string][] = [
    [['a.io/'], ['a.io/x'], 'a.io/x', 'deny[0]'],
    [['a.io/', 'a.io/x/y'], ['a.io/x'], 'a.io/x/y', 'allow[1]'],
    [['a.io/x'], ['a.io/x'], 'a.io/x', 'deny[0]'],
    [['a.io/x'], ['a.io/'], 'a.io/x', 'allow[0]'],
    [['a.io/x:1'], ['a.io/x'], 'a.io/x:1', 'allow[0]'],
    [['index.docker.io/library/'], ['nginx'], 'nginx', 'deny[0]'],
    [['docker.io/library/nginx:1'], ['nginx'], 'nginx:1', 'allow[0]'],
    [['a.io/*/x'], ['a.io/'], 'a.io/b/x', 'allow[0]'],
    [['**'], ['a.io'], 'a.io/b', 'deny[0]'],
    [['a.io/b/c'], ['**/c'], 'a.io/b/c', 'deny[0]'],
    [['a.io', 'a.io/b', 'a.io/b/c'], [], 'a.io/b/c/d', 'allow[2]'],
  ]
  for (const [allow, deny, image, expected] of cases) {
    test(`${expected} decides on ${image} (allow ${allow.join(' ')}, deny ${deny.join(' ')})`, () => {
      const { rule } = judge({ allow, deny }, image)
      assert.equal(rule && placeOf(rule), `image_validation.${expected}`)
    })
  }
})

describe('a rule', () => {
  test('that denies tells why, where it says so', () => {
    const deny = [{ image: 'a.io', message: 'use b.io' }]
    assert.equal(judge({ deny }, 'a.io/x').reason, 'Image explicitly denied: use b.io')
  })
  test('that is not for an image is not told of', () => {
    const deny = [{ image: 'a.io', message: 'use b.io' }]
    assert.equal(judge({ deny }, 'c.io/x').reason, byDefault)
  })
})

describe('globs', () => {
  const allowed: [rule: string, image: string][] = [
    ['**', 'a.io/b'],
    ['**', 'a.io:5000/b/c/d:1'],
    ['quay.io/**', 'quay.io/a'],
    ['quay.io/team/*', 'quay.io/team/app:1'],
    ['quay.io/team/*', `quay.io/team/app@${digest}`],
    ['quay.io/*/app', 'quay.io/team/app'],
    ['quay.io/**/app', 'quay.io/app'],
    ['quay.io/**/app', 'quay.io/a/b/c/app:2'],
    ['quay.io/team-*/app', 'quay.io/team-a/app'],
    ['*.example.com', 'a.example.com/x/y'],
    ['*.example.com/', 'a.b.example.com/x'],
    ['*.example.com:*', 'a.example.com:5000/x'],
    ['**/nginx', 'nginx:1'],
    ['**/nginx:1.*', 'nginx:1.27'],
    ['**@*', `quay.io/a@${digest}`],
    ['index.docker.io/library/*', 'nginx'],
    ['Quay.io:443/*', 'quay.io/a'],
    ['10.0.*', '10.0.3.4/a'],
    ['quay.io/a*a*a', 'quay.io/abaaba'],
  ]
  for (const [rule, image] of allowed) {
    test(`${rule} allows ${image}`, () => assert.ok(isAllowedBy([rule], image)))
  }
  const refused: [rule: string, image: string][] = [
    ['quay.io/team/*', 'quay.io/team/deep/app'],
    ['quay.io/team/*', 'quay.io/team'],
    ['quay.io/team/**', 'quay.io/team'],
    ['quay.io/*/app', 'quay.io/a/b/app'],
    ['quay.io/*/app', 'quay.io/team/app-evil'],
    ['quay.io/*/app', 'quay.io/team/app/evil'],
    ['*.example.com', 'a.example.com:5000/x'],
    ['10.0.*', '10.0.3.4:5000/a'],
    ['*/nginx', 'registry:5000/nginx'],
    ['*.example.com', 'a.example.com.evil.io/x'],
    ['*.example.com', 'evil.io/a.example.com/x'],
    ['*.example.com', 'example.com/x'],
    ['**/nginx:1.*', 'nginx:11'],
    ['**@*', 'quay.io/a:1'],
    ['**:*', `quay.io/a:1@${digest}`],
    ['quay.io/a*a*a', 'quay.io/aa'],
    ['*/nginx', 'a.io/b/nginx'],
  ]
  for (const [rule, image] of refused) {
    test(`${rule} does not allow ${image}`, () => assert.ok(!isAllowedBy([rule], image)))
  }
  const denied: [rule: string, image: string][] = [
    ['**', 'a.io/b'],
    ['*', 'a.io/b/c'],
    ['**:latest', 'nginx'],
    ['*:latest', 'a.io/b/c'],
    ['**:latest', `a.io/b:latest@${digest}`],
    ['docker.io/*', 'nginx'],
    ['quay.io/*/app', 'quay.io/team/app-evil/x'],
    ['*.example.com', 'a.example.com:5000/x'],
    ['nginx*', 'nginx-unprivileged'],
    ['library/*', 'nginx'],
    ['**/miner', 'quay.io/a/miner2'],
  ]
  for (const [rule, image] of denied) {
    test(`${rule} denies ${image}`, () => assert.ok(isDeniedBy([rule], image)))
  }
  test('take no longer for a name that was made to take long', () => {
    const rule = `**/${'a*'.repeat(100)}b/**/${'*a'.repeat(100)}`
    const image = `a.io/${'a'.repeat(120)}/${'a/'.repeat(50)}b`
    const started = performance.now()
    for (let run = 0; run < 100; run++) isAllowedBy([rule], image)
    assert.ok(performance.now() - started < 2_000)
  })
})

describe('require_digest', () => {
  test('refuses what is allowed but named by a tag', () => {
    const choice = { requireDigest: true, allow: ['a.io'], deny: ['a.io/x'] }
    assert.match(judge(choice, 'a.io/b:1').reason, /not named by its digest/)
    assert.ok(judge(choice, `a.io/b:1@${digest}`).isAllowed)
    assert.equal(judge(choice, 'a.io/x').reason, 'Image explicitly denied')
    assert.equal(judge(choice, 'b.io/x').reason, byDefault)
  })
})

describe('namespaces', () => {
  const choice = {
    allow: ['a.io'],
    deny: ['a.io/secret'],
    namespaces: [
      { names: ['team-a'], allow: ['b.io', 'a.io/secret/door'] },
      { names: ['team-*'], deny: ['a.io'] },
      { names: ['free'], default: 'Allow' as const },
      { names: ['alone'], inherit: false, allow: ['c.io'] },
    ],
  }
  const cases: [namespace: string | undefined, image: string, isAllowed: boolean][] = [
    ['other', 'a.io/x', true],
    ['other', 'b.io/x', false],
    [undefined, 'b.io/x', false],
    ['team-a', 'b.io/x', true],
    ['team-a', 'a.io/x', true],
    ['team-a', 'a.io/secret', false],
    ['team-a', 'a.io/secret/door', true],
    ['team-b', 'a.io/x', false],
    ['team-', 'a.io/x', false],
    ['team', 'a.io/x', true],
    ['free', 'z.io/x', true],
    ['free', 'a.io/secret', false],
    ['alone', 'a.io/x', false],
    ['alone', 'c.io/x', true],
  ]
  for (const [namespace, image, isAllowed] of cases) {
    test(`${image} is ${isAllowed ? 'allowed' : 'refused'} in ${namespace ?? 'none'}`, () => {
      assert.equal(judge(choice, image, namespace).isAllowed, isAllowed)
    })
  }
  test('have settings of their own, and the general ones for the rest', () => {
    const policy = makePolicy({
      mode: 'warn',
      requireDigest: true,
      namespaces: [{ names: ['a'], mode: 'enforce', validateWorkloads: 'off' }],
    })
    const { mode, requireDigest, validateWorkloads } = policy.findScope('a')
    assert.deepEqual([mode, requireDigest, validateWorkloads], ['enforce', true, 'off'])
    assert.equal(policy.findScope('b').mode, 'warn')
  })
})

describe('exemptions', () => {
  const policy = makePolicy({
    exempt: {
      namespaces: ['kube-*'],
      users: ['system:node:*', 'root'],
      groups: ['system:masters'],
      serviceAccounts: ['backup:restore', 'flux-system:*'],
    },
  })
  const cases: [requester: object, expected: string | undefined][] = [
    [{ namespace: 'kube-system' }, 'image_validation.exempt.namespaces[0]'],
    [{ namespace: 'my-kube-x' }, undefined],
    [{ user: 'system:node:n1' }, 'image_validation.exempt.users[0]'],
    [{ user: 'root' }, 'image_validation.exempt.users[1]'],
    [{ user: 'root2' }, undefined],
    [{ groups: ['a', 'system:masters'] }, 'image_validation.exempt.groups[0]'],
    [
      { user: 'system:serviceaccount:backup:restore' },
      'image_validation.exempt.service_accounts[0]',
    ],
    [
      { user: 'system:serviceaccount:flux-system:x' },
      'image_validation.exempt.service_accounts[1]',
    ],
    [{ user: 'backup:restore' }, undefined],
    [{}, undefined],
  ]
  for (const [requester, expected] of cases) {
    test(`${JSON.stringify(requester)}: ${expected ?? 'none'}`, () => {
      assert.equal(policy.findExemption({ groups: [], ...requester }), expected)
    })
  }
})
