// How rules are understood, and what is said of those that fit nothing or may be meant otherwise.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readAllowRule } from '../../../src/admission/allow-rule.ts'
import { readDenyRule } from '../../../src/admission/deny-rule.ts'
import { InvalidRule } from '../../../src/admission/image-glob.ts'
import { formatForm } from '../../../src/admission/rule.ts'

const digest = `sha256:${'a'.repeat(64)}`

describe('a rule of allow that fits no image is reported with what was probably meant', () => {
  const cases: [rule: string, meant: string | undefined][] = [
    ['nginx', 'docker.io/library/nginx'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27'],
    [`nginx@${digest}`, `docker.io/library/nginx@${digest}`],
    ['library/nginx', 'docker.io/library/nginx'],
    ['bitnami/', 'docker.io/bitnami/'],
    ['bitnami/redis', 'docker.io/bitnami/redis'],
    ['myregistry/app', 'docker.io/myregistry/app'],
    ['docker.io/nginx:1', 'docker.io/library/nginx:1'],
    ['index.docker.io/nginx:1', 'docker.io/library/nginx:1'],
    ['https://quay.io/x', 'quay.io/x'],
    ['docker://quay.io/x', 'quay.io/x'],
    [' quay.io/', 'quay.io/'],
    ['/quay.io/a', 'quay.io/a'],
    ['quay.io/a//b', 'quay.io/a/b'],
    ['quay.io/App', 'quay.io/app'],
    ['quay.io/App:V1', 'quay.io/app:V1'],
    ['quay.io.', 'quay.io/'],
    ['quay.io:', 'quay.io/'],
    ['10.0.', '10.0.*'],
    ['10.0', '10.0.*'],
    [`quay.io/a@sha256:ab`, 'quay.io/a@'],
    ['quay.io/a:1@', 'quay.io/a@'],
    ['*', '**'],
    ['*:latest', '**:latest'],
    [':latest', '**:latest'],
    ['docker.io/*', 'docker.io/library/*'],
    ['docker.io/ngin*', 'docker.io/library/ngin*'],
    ['library/*', 'docker.io/library/*'],
    ['nginx*', 'docker.io/library/nginx*'],
    ['quay.io/[ab]', undefined],
    ['quay.io/a b', undefined],
    ['quay.io/a:b c', undefined],
    ['quay..io/a', undefined],
    ['999.1.1.1/a', undefined],
  ]
  for (const [rule, expected] of cases) {
    test(`"${rule.slice(0, 40)}": ${expected?.slice(0, 40) ?? 'nothing comes to mind'}`, () => {
      const { forms, problem } = readAllowRule(rule)
      assert.deepEqual(forms, [])
      assert.equal(problem?.kind, 'never')
      assert.equal(problem.meant, expected)
      if (expected !== undefined) assert.notEqual(readAllowRule(expected).problem?.kind, 'never')
    })
  }
})

describe('a rule of deny that fits no image is reported, too', () => {
  const cases: [rule: string, meant: string | undefined][] = [
    ['https://quay.io/x', 'quay.io/x'],
    ['quay.io/App', 'quay.io/app'],
    [' quay.io', 'quay.io'],
    ['quay.io//a', 'quay.io/a'],
    ['quay.io/a?', undefined],
    ['quay.io/a:b c', undefined],
  ]
  for (const [rule, meant] of cases) {
    test(`"${rule}": ${meant ?? 'nothing comes to mind'}`, () => {
      const { forms, problem } = readDenyRule(rule)
      assert.deepEqual([forms, problem?.kind, problem?.meant], [[], 'never', meant])
    })
  }
})

describe('a rule that may be meant otherwise is reported with the way to say either', () => {
  const cases: [rule: string, reason: RegExp, meant: string][] = [
    ['docker.io/nginx', /for that write "docker\.io\/nginx\/"/, 'docker.io/library/nginx'],
    ['registry:5000', /for that write "registry:5000\/"/, 'docker.io/library/registry:5000'],
  ]
  for (const [rule, reason, meant] of cases) {
    test(rule, () => {
      const { forms, problem } = readAllowRule(rule)
      assert.equal(forms.length, 1)
      assert.equal(problem?.kind, 'unclear')
      assert.match(problem.reason, reason)
      assert.equal(problem.meant, meant)
    })
  }
  test('and these ways are not', () => {
    for (const rule of ['docker.io/nginx/', 'docker.io/library/nginx', 'registry:5000/']) {
      assert.equal(readAllowRule(rule).problem, undefined, rule)
    }
  })
})

describe('nothing is said of rules that people have', () => {
  const rules = [
    'my-trow-domain.trow.io/',
    'k8s.gcr.io/',
    'registry.k8s.io',
    'docker.io',
    'docker.io/library/',
    'docker.io/bitnami/',
    'quay.io/team/app:1.2',
    'registry:5000/app',
    'localhost:5000',
    '127.0.0.1',
    '127.0.0.1:31000',
    '[::1]:5000/',
    'my_registry.io/nginx',
    `ghcr.io/a/b@${digest}`,
    '*.dkr.ecr.*.amazonaws.com/team/*',
  ]
  for (const rule of rules) {
    test(rule, () => {
      assert.equal(readAllowRule(rule).problem, undefined)
      assert.equal(readDenyRule(rule).problem, undefined)
    })
  }
})

describe('a rule is shown in its normal spelling', () => {
  const cases: [rule: string, allow: string[], deny: string[]][] = [
    ['Index.Docker.io/', ['docker.io/'], ['docker.io/']],
    ['quay.io:443', ['quay.io'], ['quay.io:443', 'quay.io/']],
    ['nginx', [], ['nginx', 'docker.io/library/nginx']],
    [`a.io/b:1@${digest}`, [`a.io/b@${digest}`], [`a.io/b:1@${digest}`, `a.io/b@${digest}`]],
    ['*.Example.com/a', ['*.example.com/a'], ['*.example.com/a']],
  ]
  for (const [rule, allow, deny] of cases) {
    test(rule.slice(0, 40), () => {
      assert.deepEqual(readAllowRule(rule).forms.map(formatForm), allow)
      assert.deepEqual(readDenyRule(rule).forms.map(formatForm), deny)
    })
  }
})

test('two stars within a part of a name are refused', () => {
  for (const rule of ['quay.io/a**', '**evil.com/x', 'quay.io/**b/c', '***', 'a.io/***']) {
    assert.throws(() => readAllowRule(rule), InvalidRule, rule)
    assert.throws(() => readDenyRule(rule), InvalidRule, rule)
  }
})
