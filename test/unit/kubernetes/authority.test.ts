import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { isDue, isExpired, issueLeaf, makeAuthority } from '../../../src/kubernetes/authority.ts'

const day = 24 * 3600
const name = 'trow.trow.svc'

/** What a client that believes `ca` is told when it connects to a server by `name`. */
async function connect(
  leaf: { cert: string; key: string },
  ca: string,
  servername: string,
): Promise<string> {
  const server = createServer({ cert: leaf.cert, key: leaf.key }, (_, response) => response.end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    return await new Promise((resolve) => {
      const sent = request(
        { host: '127.0.0.1', port, ca, servername, agent: false },
        (response) => {
          response.resume()
          resolve('connected')
        },
      )
      sent.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
      sent.end()
    })
  } finally {
    server.close()
  }
}

test('a certificate is believed by who believes its authority, under its names only', async () => {
  const now = Date.now()
  const authority = await makeAuthority({ now, seconds: 365 * day })
  const other = await makeAuthority({ now, seconds: 365 * day })
  const leaf = await issueLeaf(authority, [name, `${name}.cluster.local`], {
    now,
    seconds: 7 * day,
  })
  assert.equal(await connect(leaf, authority.cert, name), 'connected')
  assert.equal(await connect(leaf, other.cert + authority.cert, name), 'connected')
  assert.equal(await connect(leaf, authority.cert, 'evil.trow.svc'), 'ERR_TLS_CERT_ALTNAME_INVALID')
  assert.notEqual(await connect(leaf, other.cert, name), 'connected')
})

test('an authority signs certificates and nothing else, a certificate signs nothing', async () => {
  const now = Date.now()
  const authority = await makeAuthority({ now, seconds: 365 * day })
  const leaf = await issueLeaf(authority, [name], { now, seconds: 7 * day })
  const [ca, cert] = [new X509Certificate(authority.cert), new X509Certificate(leaf.cert)]
  assert.equal(ca.ca, true)
  assert.equal(cert.ca, false)
  assert.equal(cert.verify(ca.publicKey), true)
  assert.equal(cert.issuer, ca.subject)
  assert.deepEqual(cert.keyUsage, ['1.3.6.1.5.5.7.3.1'])
})

test('a new one is due after two thirds of the time; a certificate ends with its authority', async () => {
  const now = Date.now()
  const authority = await makeAuthority({ now, seconds: 9 * day })
  const at = (days: number): number => now + days * day * 1000
  assert.equal(isDue(authority.cert, at(5.9)), false)
  assert.equal(isDue(authority.cert, at(6.1)), true)
  assert.equal(isExpired(authority.cert, at(8.9)), false)
  assert.equal(isExpired(authority.cert, at(9.1)), true)
  const leaf = await issueLeaf(authority, [name], { now: at(5), seconds: 7 * day })
  assert.ok(leaf.notAfter.getTime() <= at(9) + 1000)
})
