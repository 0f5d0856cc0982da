/**
 * A certificate authority of our own and the certificates of the webhooks under it (RFC 5280, ECDSA
 * P-256): the authority for a year, a certificate for a week, both replaced when two thirds of that
 * are over. The library is loaded when the first one is made.
 */
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto'

export interface Authority {
  /** PEM. */
  readonly cert: string
  /** PEM, PKCS #8. */
  readonly key: string
}

export interface Leaf extends Authority {
  readonly notAfter: Date
}

interface Lifetime {
  readonly now: number
  readonly seconds: number
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
/** Clocks of API servers may be behind ours. */
const backdatedMs = 5 * 60_000
const renewedAfter = 2 / 3

export async function makeAuthority({ now, seconds }: Lifetime): Promise<Authority> {
  const x509 = await load()
  const keys = await newKeys()
  const name = `CN=trow-webhook-ca-${serial().slice(0, 8)}`
  const { KeyUsageFlags } = x509
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name,
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date(now + seconds * 1000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { cert: withNewline(certificate.toString('pem')), key: await exportKey(keys.privateKey) }
}

/** @param names DNS names that the certificate is for; the first one is its subject, too. */
export async function issueLeaf(
  authority: Authority,
  names: readonly string[],
  { now, seconds }: Lifetime,
): Promise<Leaf> {
  const x509 = await load()
  const issuer = new x509.X509Certificate(authority.cert)
  const keys = await newKeys()
  // What outlives its authority is worth nothing.
  const notAfter = new Date(Math.min(now + seconds * 1000, issuer.notAfter.getTime()))
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [{ CN: [(names[0] ?? 'trow').slice(0, commonNameLengthMax)] }],
    issuer: issuer.subject,
    notBefore: new Date(now - backdatedMs),
    notAfter,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: 'dns' as const, value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const cert = withNewline(certificate.toString('pem'))
  return { cert, key: await exportKey(keys.privateKey), notAfter }
}

/** RFC 5280, appendix A.1: ub-common-name-length. */
const commonNameLengthMax = 64

/** Whether it is time for a new one. */
export function isDue(pem: string, now: number): boolean {
  const { validFromDate, validToDate } = new X509Certificate(pem)
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()]
  return now >= from + (to - from) * renewedAfter
}

/** Whether nothing under it is believed any more. */
export function isExpired(pem: string, now: number): boolean {
  return new X509Certificate(pem).validToDate.getTime() <= now
}

async function load() {
  // The library's dependency injection needs it, and leaves it to its users to bring it.
  await import('reflect-metadata')
  return await import('@peculiar/x509')
}

function newKeys() {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])
}

/** Positive, and of 16 bytes. */
function serial(): string {
  const bytes = randomBytes(16)
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f)
  return bytes.toString('hex')
}

function withNewline(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`
}
