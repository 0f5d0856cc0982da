// `trow check` shows all that would be in force: what is not shown is taken for not understood.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { runProgram } from '../../../src/cli/program.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { directoryWith } from '../../support/directory-with.ts'
import { FakeHost } from './fake-host.ts'

/** Every key that has something to show, secrets and certificates aside, set to something else than its default. */
const everything = `
bind: 127.0.0.1:1234
data_dir: /somewhere
hostname: [registry.example.com:443]
auth: { user: ann, password: secret-words, anonymous_pull: true }
cors: ['https://pages.example.com']
log_level: debug
log_format: json
trusted_proxies: [192.0.2.0/24]
uploads: { idle_timeout: 2h }
storage: { max_size: 1024 bytes, min_free: 2048 bytes, verify_reads: false }
gc: { enabled: false, interval: 2h, grace: 3h, untagged: 168h }
scrub: { interval: 48h, rate: 4096 bytes }
immutable_tags: ['*:v*', 'team/*:release-*']
retention:
  - repositories: ['ci/*']
    tags: ['*-rc']
    keep_newest: 3
    keep_pushed_within: 72h
    keep_pulled_within: 48h
  - { repositories: ['*'], tags: ['*'], keep_all: true }
shutdown_grace: 10s
registry_proxies:
  offline: true
  max_size: 8192 bytes
  tag_ttl: 1m
  unknown_ttl: 5s
  default_upstream: docker.io
  allow_unlisted: false
  prefetch: layers
image_validation: { default: Deny, allow: [docker.io/library/], deny: [docker.io/library/evil], mode: audit }
image_mutation: { registry: registry.example.com, ignore_repos: [quay.io/x], pin_digests: true }
admission:
  bind: 127.0.0.1:9443
  self_managed: { namespace: trow, secret: trow-webhook, dns_names: [trow.trow.svc], validating_webhook: trow }
  events: false
`

/** Those of `wanted` that are not the same in `shown`, as `gc.grace`. */
function missing(wanted: unknown, shown: unknown, path = ''): string[] {
  if (typeof wanted !== 'object' || wanted === null) {
    return JSON.stringify(wanted) === JSON.stringify(shown) ? [] : [path]
  }
  const inner = (shown ?? {}) as Record<string, unknown>
  return Object.entries(wanted).flatMap(([key, value]) =>
    missing(value, inner[key], path === '' ? key : `${path}.${key}`),
  )
}

test('trow check shows every key that is set, as it was set', async (t) => {
  const wanted = parse(everything) as Record<string, unknown>
  const unset = Object.keys(configSchema.shape).filter((key) => !(key in wanted))
  assert.deepEqual(unset, ['tls'], 'a new key belongs into this test')
  const directory = await directoryWith(t, { 'trow.yaml': everything })
  const host = new FakeHost({})
  const file = join(directory, 'trow.yaml')
  await runProgram(['check', '--config-file', file], host, () => Promise.reject(new Error('no')))
  assert.ok(!host.out.includes('secret-words'))
  assert.deepEqual(missing(wanted, parse(host.out)), ['auth.password'])
})
