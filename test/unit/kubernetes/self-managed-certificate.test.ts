import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { AuthoritySecret } from '../../../src/kubernetes/authority-secret.ts'
import { type Leaf, makeAuthority } from '../../../src/kubernetes/authority.ts'
import { CaBundle } from '../../../src/kubernetes/ca-bundle.ts'
import { SelfManagedCertificate } from '../../../src/kubernetes/self-managed-certificate.ts'
import { FakeKubernetes } from '../../support/fake-kubernetes.ts'

const day = 24 * 3600 * 1000
const dnsNames = ['trow.trow.svc']

class Replica {
  readonly leaves: Leaf[] = []
  readonly certificate: SelfManagedCertificate

  constructor(kubernetes: FakeKubernetes, clock: { now(): number }) {
    const secret = new AuthoritySecret(
      kubernetes.api,
      { namespace: 'trow', name: 'ca' },
      { lifetimeSeconds: 365 * 24 * 3600, attemptsMax: 5 },
    )
    this.certificate = new SelfManagedCertificate(
      {
        secret,
        bundles: [new CaBundle(kubernetes.api, 'validating', 'trow')],
        use: (leaf) => void this.leaves.push(leaf),
        clock,
        log: { info: () => {}, error: () => {} },
      },
      { dnsNames, leafSeconds: 7 * 24 * 3600, checkIntervalSeconds: 3600 },
    )
  }

  /** Whether an API server that knows this bundle believes what is served now. */
  isBelievedBy(bundle: string): boolean {
    const leaf = new X509Certificate(this.leaves.at(-1)?.cert ?? '')
    const authorities = bundle.match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? []
    return authorities.some((pem) => leaf.verify(new X509Certificate(pem).publicKey))
  }
}

test('replicas that start at once agree on one authority', async () => {
  const kubernetes = new FakeKubernetes()
  const clock = { now: () => Date.now() }
  const replicas = [1, 2, 3].map(() => new Replica(kubernetes, clock))
  await Promise.all(replicas.map(({ certificate }) => certificate.check()))
  for (const { certificate } of replicas) await certificate.check()
  for (const replica of replicas) {
    assert.equal(replica.certificate.problem, undefined)
    assert.ok(replica.isBelievedBy(kubernetes.bundle()))
  }
  assert.equal(kubernetes.bundle().match(/BEGIN/g)?.length, 1)
})

test('a Secret that is there and empty is filled', async () => {
  const kubernetes = new FakeKubernetes({ secret: {} })
  const replica = new Replica(kubernetes, { now: () => Date.now() })
  await replica.certificate.check()
  assert.ok(replica.isBelievedBy(kubernetes.bundle()))
  assert.equal(kubernetes.calls.includes('POST'), false)
})

test('for two years an API server believes both replicas, though it hears of each change late', async () => {
  const kubernetes = new FakeKubernetes()
  let now = Date.now()
  const clock = { now: () => now }
  const replicas = [new Replica(kubernetes, clock), new Replica(kubernetes, clock)]
  const authorities = new Set<string>()
  for (const { certificate } of replicas) await certificate.check()
  for (let days = 0; days < 730; days += 2) {
    const known = kubernetes.bundle()
    for (const replica of replicas) {
      await replica.certificate.check()
      for (const each of replicas) assert.ok(each.isBelievedBy(known))
      const leaf = new X509Certificate(replica.leaves.at(-1)?.cert ?? '')
      assert.ok(leaf.validToDate.getTime() > now, 'it is valid')
      authorities.add(leaf.issuer)
    }
    now += 2 * day
  }
  assert.equal(authorities.size, 3, 'a year is renewed after eight months')
  assert.ok((replicas[0]?.leaves.length ?? 0) > 100, 'a week is renewed after some days')
})

test('a bundle that somebody overwrites is mended', async () => {
  const kubernetes = new FakeKubernetes()
  const replica = new Replica(kubernetes, { now: () => Date.now() })
  await replica.certificate.check()
  kubernetes.setBundle('c29tZXRoaW5n')
  await replica.certificate.check()
  assert.ok(replica.isBelievedBy(kubernetes.bundle()))
  assert.equal(replica.leaves.length, 1)
})

test('what the API refuses is told, and mended when it no longer does', async () => {
  const kubernetes = new FakeKubernetes()
  const replica = new Replica(kubernetes, { now: () => Date.now() })
  kubernetes.refuse('PATCH', 403)
  await replica.certificate.check()
  assert.equal(replica.leaves.length, 1, 'the certificate is served all the same')
  assert.match(replica.certificate.problem ?? '', /answered 403 to PATCH .*configurations\/trow/)
  kubernetes.refuse('PATCH', undefined)
  await replica.certificate.check()
  assert.equal(replica.certificate.problem, undefined)
  kubernetes.refuse('GET', 500)
  await replica.certificate.check()
  assert.match(replica.certificate.problem ?? '', /answered 500 to GET/)
})

test('content of the Secret that is no authority is replaced, and not served', async () => {
  const data = { 'ca.crt': Buffer.from('rubbish').toString('base64'), 'ca.key': 'eA==' }
  const kubernetes = new FakeKubernetes({ secret: { data } })
  const replica = new Replica(kubernetes, { now: () => Date.now() })
  await replica.certificate.check()
  assert.ok(replica.isBelievedBy(kubernetes.bundle()))
})

for (const [what, makeKey] of [
  ['of another authority', async () => (await newAuthority()).key],
  ['that cannot be read', () => Promise.resolve('-----BEGIN PRIVATE KEY-----\nrubbish\n')],
] as const) {
  test(`an authority with a key ${what} is replaced: nobody would believe what it signs`, async () => {
    const data = {
      'ca.crt': Buffer.from((await newAuthority()).cert).toString('base64'),
      'ca.key': Buffer.from(await makeKey()).toString('base64'),
    }
    const kubernetes = new FakeKubernetes({ secret: { data } })
    const replica = new Replica(kubernetes, { now: () => Date.now() })
    await replica.certificate.check()
    assert.equal(replica.certificate.problem, undefined)
    assert.ok(replica.isBelievedBy(kubernetes.bundle()))
  })
}

function newAuthority() {
  return makeAuthority({ now: Date.now(), seconds: 365 * 24 * 3600 })
}
