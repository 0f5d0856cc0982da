import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startUpLines } from '../../../src/cli/start-up-lines.ts'
import { makeConfig } from '../../../src/config/make-config.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { version } from '../../../src/config/version.ts'

function lines(settings: object): string[] {
  return startUpLines(makeConfig(configSchema.parse(settings), () => undefined, []))
}

test('without configuration the lines say so', () => {
  assert.deepEqual(lines({}), [
    `Starting Trow ${version} on [::]:8000`,
    'Hostname of this registry: "[::]:8000"',
    'Image validation webhook not configured',
    'Proxy registries not configured',
  ])
})

test('the first host name is named, and the others after it', () => {
  const [, one] = lines({ hostname: 'registry.example.com' })
  const [, three] = lines({ hostname: ['a', 'b:5000', 'c'] })
  assert.equal(one, 'Hostname of this registry: "registry.example.com"')
  assert.equal(three, 'Hostname of this registry: "a" (also: "b:5000", "c")')
})

test('image validation is shown with its prefixes', () => {
  const text = lines({
    image_validation: {
      default: 'Deny',
      allow: ['my-trow-domain.trow.io/', 'k8s.gcr.io/'],
      deny: ['my-trow-domain.trow.io/my-secret-image'],
    },
  })
  assert.deepEqual(text.slice(2, 6), [
    'Image validation webhook configured:',
    '  Default action: Deny',
    '  Allowed prefixes: ["my-trow-domain.trow.io/", "k8s.gcr.io/"]',
    '  Denied prefixes: ["my-trow-domain.trow.io/my-secret-image"]',
  ])
})

test('proxied registries are shown, their logins are not', () => {
  const login = { username: 'ann', password: 'hunter2' }
  const registries = [
    { host: 'docker.io', ...login },
    { host: 'docker.io', path_prefix: '/team/', insecure: true },
  ]
  assert.deepEqual(lines({ registry_proxies: { registries } }).slice(3), [
    'Proxy registries configured:',
    '  - docker.io',
    '  - docker.io/team (insecure)',
  ])
  assert.deepEqual(lines({ registry_proxies: { registries, offline: true } }).slice(4), [
    '  - docker.io (offline)',
    '  - docker.io/team (offline, insecure)',
  ])
})

test('CORS is mentioned when it is configured', () => {
  assert.equal(
    lines({ cors: 'https://ui.example.com' }).at(-1),
    'Cross-Origin Resource Sharing(CORS) requests are allowed',
  )
})
