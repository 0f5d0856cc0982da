// Every parser of what comes from outside, with hostile text: it answers or refuses in its own way,
// soon, and what it lets pass is safe where it is used, in a path, a header or a URL.

import assert from 'node:assert/strict'
import { join, resolve, sep } from 'node:path'
import { describe, test } from 'node:test'
import { parseAuthorization } from '../../../src/auth/basic.ts'
import { parseTokenForm, parseTokenQuery } from '../../../src/auth/token-request.ts'
import { limits } from '../../../src/config/limits.ts'
import { clientView, parseHost } from '../../../src/http/forwarded.ts'
import { matchesIfNoneMatch } from '../../../src/http/conditional.ts'
import { parsePage } from '../../../src/http/pagination.ts'
import { parseContentRange, parseRange } from '../../../src/http/range.ts'
import { Router } from '../../../src/http/router.ts'
import { parseDigest } from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'
import {
  formatImageReference,
  parseImageReference,
  parseRegistryHost,
  parseRepositoryIn,
} from '../../../src/oci/image-reference.ts'
import { parseReference } from '../../../src/oci/reference.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import { formatScope, parseScope } from '../../../src/oci/scope.ts'
import { DataLayout } from '../../../src/storage/filesystem/layout.ts'
import { parseChallenges } from '../../../src/upstream/challenge.ts'
import { parseDockerConfig } from '../../../src/upstream/docker-config.ts'
import { parseNextLink } from '../../../src/upstream/pagination.ts'
import { parseRealm } from '../../../src/upstream/realm.ts'
import { parseAddressRange, toBlockList } from '../../../src/config/address-range.ts'
import type { Random } from '../../simulation/random.ts'
import { fuzz } from './budget.ts'
import { bend, maybeBend } from './generate.ts'

const sha256 = `sha256:${'0a'.repeat(32)}`
const layout = new DataLayout('/data/of/the/registry')

/** What it answers; undefined when it refuses as clients are refused. */
function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}

function assertBelow(path: string, directory: string): void {
  assert.ok(resolve(path).startsWith(directory + sep), path)
}

const names = [
  'a',
  'library/nginx',
  'a.b/c-d/e__f',
  'f/docker.io/library/nginx',
  'f/host_5000/x',
  'f/[::1]:5000/x',
]
const references = ['latest', 'v1.2-rc_3', sha256, `sha512:${'0f'.repeat(64)}`]

function namesAndReferences(random: Random): void {
  const name = attempt(() => parseRepositoryName(bend(random, random.pick(names))))
  if (name !== undefined) assertBelow(join('/base', name), '/base')
  const reference = attempt(() => parseReference(bend(random, random.pick(references))))
  if (reference !== undefined) assertBelow(join('/base', reference), '/base')
  const digest = attempt(() => parseDigest(bend(random, random.pick(references))))
  if (digest !== undefined) assertBelow(layout.blob(digest), layout.blobs)
  const text = bend(random, `${random.pick(names)}:${random.pick(references)}@${sha256}`)
  const image = attempt(() => parseImageReference(text))
  if (image !== undefined) {
    const again = parseImageReference(formatImageReference(image))
    assert.equal(formatImageReference(again), formatImageReference(image))
  }
  const host = attempt(() => parseRegistryHost(bend(random, 'registry.example.com:5000')))
  if (host === undefined) return
  // The host of a URL is what was asked for, and not what is before an @ or behind a /.
  const url = new URL(`https://${host}/v2/`)
  assert.equal(`${url.username}${url.password}${url.search}${url.hash}`, '')
  assert.equal(url.pathname, '/v2/')
  attempt(() => parseRepositoryIn(host, bend(random, 'nginx')))
}

const router = new Router(
  ['/v2/:repository/manifests/:reference', '/v2/:repository/blobs/uploads/:session', '/v2/'].map(
    (pattern) => ({ pattern }),
  ),
)

function paths(random: Random): void {
  const path = bend(random, `/v2/${random.pick(names)}/manifests/${random.pick(references)}`)
  const match = attempt(() => router.match(path.startsWith('/') ? path : `/${path}`))
  for (const value of Object.values(match?.parameters ?? {})) assert.equal(typeof value, 'string')
  const query = new URLSearchParams(bend(random, 'n=10&last=v1&digest=x&from=a&mount=b'))
  const page = attempt(() => parsePage(query))
  if (page !== undefined) assert.ok(page.limit >= 0 && page.limit <= limits.pageEntriesMax)
}

function ranges(random: Random): void {
  const size = random.pick([0, 1, 10, 1_000_000, 2 ** 40])
  const header = bend(random, random.pick(['bytes=0-9', 'bytes=-5', 'bytes=3-', 'bytes=0-1,5-9']))
  const wanted = parseRange(header, size, limits.rangesPerRequestMax)
  if (wanted.kind === 'ranges') {
    assert.ok(wanted.ranges.length <= limits.rangesPerRequestMax)
    for (const { start, endInclusive } of wanted.ranges) {
      assert.ok(Number.isSafeInteger(start) && start >= 0, header)
      assert.ok(endInclusive >= start && endInclusive < size, header)
    }
  }
  const chunk = parseContentRange(bend(random, '0-9'))
  if (chunk !== undefined) assert.ok(chunk.start >= 0 && chunk.endInclusive >= chunk.start)
  matchesIfNoneMatch(bend(random, `"${sha256}", W/"x", *`), `"${sha256}"`)
}

const trusted = toBlockList([parseAddressRange('10.0.0.0/8')])
const forwarded = 'for=192.0.2.1;proto=https;host="a.example:443", for="[2001:db8::1]:80"'

function proxies(random: Random): void {
  const header = (text: string): string => maybeBend(random, text)
  const view = clientView(
    {
      remoteAddress: random.pick(['10.0.0.1', '192.0.2.9', '::ffff:10.0.0.1', '']),
      isTls: random.chance(2),
      headers: {
        host: header('registry.example:8000'),
        ...(random.chance(2) && { forwarded: header(forwarded) }),
        'x-forwarded-for': header('192.0.2.1, 10.0.0.7'),
        'x-forwarded-proto': header('https'),
        'x-forwarded-host': header('a.example'),
        'x-forwarded-port': header('8443'),
      },
    },
    trusted,
  )
  const host = view.host ?? 'localhost'
  assert.equal(parseHost(host), host)
  assert.match(host, /^(?:[\w.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i)
}

const basic = `Basic ${Buffer.from('ann:correct horse').toString('base64')}`

function credentials(random: Random): void {
  attempt(() => parseAuthorization(bend(random, random.pick([basic, 'Bearer a.b.c', 'Digest x']))))
  const query = 'service=trow_registry&scope=repository:a/b:pull,push&account=ann'
  const { scopes } = attempt(() => parseTokenQuery(new URLSearchParams(bend(random, query)))) ?? {}
  for (const scope of scopes ?? []) assert.deepEqual(parseScope(formatScope(scope)), scope)
  const form = 'grant_type=password&username=a&password=b&scope=repository:a:pull'
  attempt(() => parseTokenForm(new URLSearchParams(bend(random, form))))
}

/** What upstreams answer. */
function answers(random: Random): void {
  const challenge = 'Bearer realm="https://a.example/token",service="x",scope="repository:a:pull"'
  parseChallenges(bend(random, `${challenge}, Basic realm="y"`))
  parseNextLink(bend(random, '</v2/_catalog?n=5&last=x>; rel="next"'))
  parseRealm(bend(random, 'https://auth.example/token?a=b'))
  parseDockerConfig(bend(random, '{"auths":{"a.example":{"auth":"YTpi"}},"credHelpers":{"b":"c"}}'))
}

describe('hostile text', () => {
  const targets: [name: string, work: (random: Random) => void][] = [
    ['names and references', namesAndReferences],
    ['paths and queries', paths],
    ['ranges', ranges],
    ['what proxies tell', proxies],
    ['credentials', credentials],
    ['what upstreams answer', answers],
  ]
  for (const [name, work] of targets) {
    test(`as ${name} is taken or refused`, (t) => fuzz(t, 1, work))
  }
})
