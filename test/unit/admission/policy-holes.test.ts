// The holes of Trow 0.10's policy, by their numbers: for each the images that came through it, and
// those that have to pass all the same.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isAllowedBy, isDeniedBy, judge, ownHost } from './judge.ts'

const digest = `sha256:${'a'.repeat(64)}`
const otherDigest = `sha256:${'b'.repeat(64)}`

describe('hole 1, prefixes: a rule of allow ends at the boundary of a name', () => {
  const cases: [rule: string, allowed: string[], refused: string[]][] = [
    ['docker.io', ['nginx', 'docker.io/a/b'], ['docker.io.evil.com/x', 'docker.iox.com/x']],
    ['docker.io/', ['nginx:1'], ['docker.io.evil.com/x']],
    ['quay.io', ['quay.io/x'], ['quay.io:8080/x', 'quay.io.evil.com/x', 'xquay.io/x']],
    ['quay.io:8080', ['quay.io:8080/x'], ['quay.io/x', 'quay.io:80801/x', 'quay.io:80/x']],
    [
      'r.io/app',
      ['r.io/app:1', 'r.io/app/sub', `r.io/app@${digest}`],
      ['r.io/app-evil', 'r.io/app2'],
    ],
    ['r.io/app/', ['r.io/app/sub'], ['r.io/app', 'r.io/app-evil']],
    ['r.io/repo:1.2', ['r.io/repo:1.2'], ['r.io/repo:1.25', 'r.io/repo:1.2-evil', 'r.io/repo']],
    ['r.io/repo:latest', ['r.io/repo'], ['r.io/repo:latest2', 'r.io/repo/x:latest']],
  ]
  for (const [rule, allowed, refused] of cases) {
    for (const image of allowed) {
      test(`${rule} allows ${image}`, () => assert.ok(isAllowedBy([rule], image)))
    }
    for (const image of refused) {
      test(`${rule} does not allow ${image}`, () => assert.ok(!isAllowedBy([rule], image)))
    }
  }

  test('unless it ends in a character that says that names go on', () => {
    assert.ok(isAllowedBy(['r.io/app-'], 'r.io/app-one/x:1'))
    assert.ok(isAllowedBy(['r.io/app_'], 'r.io/app_one'))
    assert.ok(isAllowedBy(['r.io/app.'], 'r.io/app.one'))
    assert.ok(isAllowedBy(['r.io/app:'], 'r.io/app:anything'))
    assert.ok(isAllowedBy(['r.io/app:1.'], 'r.io/app:1.25'))
    assert.ok(isAllowedBy(['r.io/app@'], `r.io/app:1@${digest}`))
    assert.ok(!isAllowedBy(['r.io/app:'], 'r.io/app-one:1'))
    assert.ok(!isAllowedBy(['r.io/app:'], `r.io/app@${digest}`))
    assert.ok(!isAllowedBy(['r.io/app@'], 'r.io/app:1'))
  })

  test('and the end of a host never is one', () => {
    for (const rule of ['quay.io.', 'quay.io-', 'quay.io:', 'quay.io_']) {
      assert.ok(!isAllowedBy([rule], 'quay.io.evil.com/x'), rule)
      assert.ok(!isAllowedBy([rule], 'quay.io:8080/x'), rule)
    }
  })

  test('addresses and localhost stand for all of their ports', () => {
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '10.1.2.3']) {
      assert.ok(isAllowedBy([host], `${host}:31000/app`), host)
      assert.ok(isAllowedBy([host], `${host}/app`), host)
      assert.ok(!isAllowedBy([`${host}/`], `${host}:31000/app`), host)
    }
    assert.ok(!isAllowedBy(['127.0.0.1'], '127.0.0.100/app'))
    assert.ok(!isAllowedBy(['localhost'], 'localhost.evil.com/app'))
  })

  test('a rule of deny is for all that begins with it, so nothing passes that did not before', () => {
    const cases: [rule: string, image: string][] = [
      ['docker.io', 'docker.io.evil.com/x'],
      ['quay.io', 'quay.io:8080/x'],
      ['r.io/app', 'r.io/app-evil'],
      ['r.io/app', 'r.io/application/x'],
      ['r.io/repo:1.2', 'r.io/repo:1.25'],
      ['k8s', 'k8s.gcr.io/pause'],
    ]
    for (const [rule, image] of cases) assert.ok(isDeniedBy([rule], image), `${rule} ${image}`)
  })
})

describe('hole 7, spellings: another name of the same registry is no way around a rule', () => {
  const hub = [
    'nginx',
    'library/nginx',
    'docker.io/nginx',
    'docker.io/library/nginx',
    'Docker.IO/library/nginx',
    'index.docker.io/nginx',
    'index.docker.io/library/nginx',
    'registry-1.docker.io/library/nginx',
    'registry.hub.docker.com/library/nginx',
    'docker.io:443/library/nginx',
    'docker.io:443/nginx',
    'index.docker.io:443/nginx',
    `nginx@${digest}`,
  ]
  for (const image of hub) {
    test(`${image} is docker.io/library/nginx`, () => {
      assert.ok(isDeniedBy(['docker.io/library/nginx'], image))
      assert.ok(isAllowedBy(['docker.io/library/nginx'], image))
    })
  }
  const same: [rule: string, image: string][] = [
    ['quay.io/', 'Quay.io/x'],
    ['quay.io/', 'quay.io:443/x'],
    ['QUAY.io:443/', 'quay.IO/x'],
    ['quay.io:443', 'quay.io/x'],
    ['index.docker.io/', 'nginx'],
    ['registry-1.docker.io', 'nginx'],
    ['[2001:DB8:0::1]:5000/', '[2001:db8::1]:5000/x'],
    ['[2001:db8::1]/', '[2001:db8::1]:443/x'],
    ['10.0.0.1/', '[::ffff:10.0.0.1]/x'],
    ['10.0.0.1/', '[::ffff:a00:1]/x'],
    ['10.0.0.1:5000/', '[::ffff:10.0.0.1]:5000/x'],
  ]
  for (const [rule, image] of same) {
    test(`${rule} is for ${image}`, () => {
      assert.ok(isDeniedBy([rule], image))
      assert.ok(isAllowedBy([rule], image))
    })
  }
  test('short names are denied in all that they can mean', () => {
    assert.ok(isDeniedBy(['nginx'], 'docker.io/library/nginx:1'))
    assert.ok(isDeniedBy(['bitnami/'], 'docker.io/bitnami/redis'))
    assert.ok(isDeniedBy(['redis:7'], 'redis:7'))
    assert.ok(isDeniedBy(['docker.io/nginx'], 'nginx'))
    assert.ok(isDeniedBy(['docker.io/nginx'], 'nginx/unit'))
  })
})

describe("hole 8, the proxy's path: a trusted registry does not speak for all others", () => {
  const evil = [
    `${ownHost}/f/evil.io/x`,
    `${ownHost}:8443/f/evil.io/x`,
    `${ownHost}/f/evil.io_5000/x`,
    `${ownHost}/f/${ownHost}/f/evil.io/x`,
    `${ownHost}/f/localhost/x`,
  ]
  for (const image of evil) {
    test(`${image} is not allowed by a rule for the registry itself`, () => {
      for (const rule of [ownHost, `${ownHost}/`, `${ownHost}:8443/`, `${ownHost}/**`]) {
        assert.ok(!isAllowedBy([rule], image), rule)
      }
    })
  }
  test('it is allowed by what it stands for, or by a rule for such paths', () => {
    const image = `${ownHost}/f/docker.io/nginx:1`
    assert.ok(isAllowedBy(['docker.io/library/nginx'], image))
    assert.ok(isAllowedBy(['docker.io'], image))
    assert.ok(isAllowedBy([`${ownHost}/f/docker.io/`], image))
    assert.ok(isAllowedBy([`${ownHost}/f/`], image))
    assert.ok(isAllowedBy([`${ownHost}/f/**`], image))
    assert.ok(!isAllowedBy([`${ownHost}/f/quay.io/`, 'quay.io'], image))
  })
  test('it is denied when either name is', () => {
    const image = `${ownHost}/f/docker.io/nginx:1`
    assert.ok(isDeniedBy(['docker.io/library/nginx'], image))
    assert.ok(isDeniedBy(['nginx'], image))
    assert.ok(isDeniedBy([`${ownHost}/f/docker.io`], image))
    const { isAllowed } = judge({ allow: ['docker.io'], deny: [`${ownHost}/f/`] }, image)
    assert.ok(!isAllowed)
  })
  test('it is understood under names that this registry does not know it has', () => {
    for (const host of ['127.0.0.1:31000', 'trow.trow.svc.cluster.local:8000', 'localhost']) {
      assert.ok(!isAllowedBy([host], `${host}/f/evil.io/x`), host)
      assert.ok(isDeniedBy(['evil.io'], `${host}/f/evil.io/x`), host)
      assert.ok(isAllowedBy([host], `${host}/f/app`), host)
      assert.ok(isAllowedBy([host, 'quay.io'], `${host}/f/quay.io/x`), host)
      assert.ok(isAllowedBy([`${host}/f/`], `${host}/f/quay.io/x`), host)
    }
  })
  test('a path that looks so makes no other registry trusted', () => {
    for (const host of ['evil.io', 'docker.io', '127.0.0.1:31000']) {
      assert.ok(!isAllowedBy(['quay.io'], `${host}/f/quay.io/x`), host)
    }
  })
  test('a judgement says what the image stands for', () => {
    assert.deepEqual(judge({}, `${ownHost}/f/docker.io/nginx:1`).names, [
      `${ownHost}/f/docker.io/nginx:1`,
      'docker.io/library/nginx:1',
    ])
  })
})

describe('hole 9, tag and digest: where there is a digest, the tag means nothing', () => {
  test('a rule for a tag does not allow it', () => {
    assert.ok(!isAllowedBy(['r.io/app:1.2'], `r.io/app:1.2@${digest}`))
    assert.ok(!isAllowedBy(['r.io/app:'], `r.io/app:1.2@${digest}`))
    assert.ok(!isAllowedBy(['r.io/app:*'], `r.io/app:1.2@${digest}`))
  })
  test('a rule for the digest does, under any tag', () => {
    for (const rule of [
      `r.io/app@${digest}`,
      `r.io/app:other@${digest}`,
      'r.io/app@',
      'r.io/app',
    ]) {
      assert.ok(isAllowedBy([rule], `r.io/app:1.2@${digest}`), rule)
      assert.ok(isAllowedBy([rule], `r.io/app@${digest}`), rule)
    }
    assert.ok(!isAllowedBy([`r.io/app@${digest}`], `r.io/app:1.2@${otherDigest}`))
    assert.ok(!isAllowedBy([`r.io/app@${digest}`], 'r.io/app:1.2'))
  })
  test('rules of deny count for both', () => {
    assert.ok(isDeniedBy(['r.io/app:1.2'], `r.io/app:1.2@${digest}`))
    assert.ok(isDeniedBy([`r.io/app@${digest}`], `r.io/app:1.2@${digest}`))
    assert.ok(isDeniedBy([`r.io/app:other@${digest}`], `r.io/app:1.2@${digest}`))
    assert.ok(!isDeniedBy([`r.io/app@${digest}`], `r.io/app:1.2@${otherDigest}`))
  })
})

describe('beyond the list: what names no registry', () => {
  test('the ID of an image that a node may have is no image', () => {
    for (const image of [digest, `sha512:${'c'.repeat(128)}`, 'a'.repeat(64)]) {
      const { isAllowed, reason } = judge({ default: 'Allow' }, image)
      assert.ok(!isAllowed)
      assert.equal(reason, 'Invalid image reference')
    }
  })
})
