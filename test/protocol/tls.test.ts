/**
 * HTTPS: what is served and refused, and a rotated certificate, which new connections see at once and
 * which disturbs no request.
 */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { connect } from 'node:tls'
import { issueCertificate } from '../support/certificate.ts'
import { send } from '../support/http-client.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { makeBlob } from '../support/push-steps.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'

const names = ['127.0.0.1', 'localhost']
const user = { name: 'ann', password: 'secret' }
const reloaded = 'configuration reloaded'

const fingerprintOf = (pem: string) => new X509Certificate(pem).fingerprint256

describe('over HTTPS', () => {
  const certificate = issueCertificate(names)
  let registry: Registry
  before(async () => {
    registry = await startRegistry({ tls: certificate, user })
  })
  after(() => registry[Symbol.asyncDispose]())

  test('an image is pushed and pulled, with a login', async () => {
    assert.match(registry.url, /^https:\/\/127\.0\.0\.1:\d+$/)
    const image = imageFixture({ layers: 2, layerBytes: 300_000 })
    await registry.push('tls/image', 'v1', image)
    for (const { digest, bytes } of image.blobs) {
      const got = await registry.request('GET', `/v2/tls/image/blobs/${digest}`)
      assert.ok(got.body.equals(bytes))
    }
  })

  test('the challenge leads to the token service over HTTPS too', async () => {
    const reply = await registry.request('GET', '/v2/', { anonymous: true })
    assert.match(reply.rawHeaders.join(), new RegExp(`realm="${registry.url}/token"`))
  })

  test('plain HTTP is not answered as if it were, and the log says what it was', async () => {
    const known = registry.logLength
    const plain = request(registry.url.replace('https:', 'http:'))
    plain.end()
    await assert.rejects(
      new Promise((resolve, reject) => {
        plain.once('response', resolve)
        plain.once('error', reject)
      }),
    )
    const line = await registry.logged(({ msg }) => msg.startsWith('refused'), known)
    assert.equal(line.msg, 'refused: the client speaks plain HTTP, and this port HTTPS')
    assert.equal(line['client'], '127.0.0.1')
  })

  for (const [version, isServed] of [
    ['TLSv1.1', false],
    ['TLSv1.2', true],
    ['TLSv1.3', true],
  ] as const) {
    test(`${version} is ${isServed ? 'spoken' : 'refused, and the log says so'}`, async () => {
      const known = registry.logLength
      const { hostname: host, port } = new URL(registry.url)
      const socket = connect({
        host,
        port: Number(port),
        ca: certificate.ca,
        minVersion: version,
        maxVersion: version,
        ...(isServed ? {} : { ciphers: 'DEFAULT@SECLEVEL=0' }),
      })
      const outcome = await new Promise<string>((resolve) => {
        socket.once('secureConnect', () => resolve(socket.getProtocol() ?? ''))
        socket.once('error', () => resolve('refused'))
      })
      socket.destroy()
      assert.equal(outcome, isServed ? version : 'refused')
      if (isServed) return
      const line = await registry.logged(({ msg }) => msg.startsWith('refused'), known)
      assert.match(line.msg, /^refused: no TLS connection could be made: unsupported protocol$/)
    })
  }
})

/** What monitoring is told of its end. */
async function endShownBy({ url }: Registry, ca: string): Promise<string | undefined> {
  const reply = await send('GET', new URL('/metrics', url), {}, { ca, agent: false })
  const line = /^trow_tls_certificate_not_after_timestamp_seconds (\d+)$/m
  return line.exec(reply.body.toString())?.[1]
}

const endOf = (pem: string) => String(new X509Certificate(pem).validToDate.getTime() / 1000)

/** The certificate that a new connection sees. */
async function shownBy(registry: Registry, ca: string): Promise<string> {
  using connection = await RawConnection.open(registry.url, { ca })
  return connection.fingerprint
}

describe('a rotated certificate', () => {
  const [first, second, third] = [1, 2, 3].map(() => issueCertificate(names))
  assert.ok(first && second && third)

  test('is seen by new connections after SIGHUP, and after a change of the files alone', async () => {
    await using registry = await startRegistry({ tls: first })
    const blob = makeBlob('in flight', 32 << 20)
    await registry.pushBlob('tls/rotate', blob)

    using download = await RawConnection.open(registry.url, { ca: first.ca })
    download.writeHead('GET', `/v2/tls/rotate/blobs/${blob.digest}`)
    assert.equal((await download.readHead()).status, 200)
    const start = await download.readBytes(1000)
    using kept = await RawConnection.open(registry.url, { ca: first.ca })
    assert.equal(kept.fingerprint, fingerprintOf(first.cert))

    const known = registry.logLength
    await writeFile(registry.certFile, second.cert)
    await writeFile(registry.keyFile, second.key)
    registry.signal('SIGHUP')
    await registry.logged(({ msg }) => msg === reloaded, known)
    assert.equal(await shownBy(registry, second.ca), fingerprintOf(second.cert))
    await assert.rejects(shownBy(registry, first.ca))

    const later = registry.logLength
    await writeFile(registry.certFile, third.cert)
    await writeFile(registry.keyFile, third.key)
    await registry.logged(({ msg }) => msg === reloaded, later)
    assert.equal(await shownBy(registry, third.ca), fingerprintOf(third.cert))

    const rest = await download.readBytes(blob.bytes.length - 1000)
    assert.ok(Buffer.concat([start, rest]).equals(blob.bytes))
    kept.writeHead('GET', '/v2/')
    assert.equal((await kept.readReply()).status, 200)
    await registry.restart({ tls: third })
  })

  test('is what the metric tells the end of, as was the one before', async () => {
    await using registry = await startRegistry({ tls: first })
    assert.equal(await endShownBy(registry, first.ca), endOf(first.cert))
    const longer = issueCertificate(names, 96)
    const known = registry.logLength
    await writeFile(registry.certFile, longer.cert)
    await writeFile(registry.keyFile, longer.key)
    registry.signal('SIGHUP')
    await registry.logged(({ msg }) => msg === reloaded, known)
    assert.equal(await endShownBy(registry, longer.ca), endOf(longer.cert))
  })

  test('whose key is not its own leaves the old one in force, and is told', async () => {
    await using registry = await startRegistry({ tls: first })
    const known = registry.logLength
    await writeFile(registry.certFile, second.cert)
    registry.signal('SIGHUP')
    const line = await registry.logged(({ level }) => level === 'error', known)
    assert.match(JSON.stringify(line), /does not belong to the certificate/)
    assert.equal(await shownBy(registry, first.ca), fingerprintOf(first.cert))
  })
})

test('a client that speaks HTTPS to plain HTTP is told so, and the log says it', async () => {
  await using registry = await startRegistry()
  using connection = await RawConnection.open(registry.url)
  connection.write(Buffer.from('160301020001', 'hex'))
  const reply = await connection.readReply()
  assert.equal(reply.status, 400)
  assert.match(reply.body.toString(), /the client speaks HTTPS, and this port plain HTTP/)
  const id = reply.header('x-request-id')
  const { msg } = await registry.logged(({ request }) => request === id)
  assert.match(msg, /^refused 400: the client speaks HTTPS/)
})
