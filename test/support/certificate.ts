// A certificate authority and a certificate of it, made with Node alone: a few lines of DER (X.690)
// around node:crypto, enough of RFC 5280 for TLS clients to verify names against.

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

export interface IssuedCertificate {
  /** All PEM. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

interface Issuer {
  readonly name: string
  readonly key: KeyObject
}

interface Subject {
  readonly name: string
  readonly publicKey: KeyObject
  readonly extensions: readonly Buffer[]
}

/**
 * @param names DNS names and IPv4 addresses that the certificate is for.
 * @param hours for how long it is valid from now.
 */
export function issueCertificate(names: readonly string[], hours = 48): IssuedCertificate {
  const authority = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = { name: `Trow test authority ${serial()}`, key: authority.privateKey }
  const isAuthority = extension('551d13', true, sequence(tlv(0x01, Buffer.from([0xff]))))
  const alternatives = extension('551d11', false, sequence(...names.map(generalName)))
  return {
    ca: makeCertificate(issuer, hours, {
      name: issuer.name,
      publicKey: authority.publicKey,
      extensions: [isAuthority],
    }),
    cert: makeCertificate(issuer, hours, {
      name: names[0] ?? '',
      publicKey: leaf.publicKey,
      extensions: [alternatives],
    }),
    key: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
}

function makeCertificate(issuer: Issuer, hours: number, subject: Subject): string {
  const ecdsaWithSha256 = sequence(identifier('2a8648ce3d040302'))
  const hour = 3_600_000
  const content = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.from(`01${serial()}`, 'hex')),
    ecdsaWithSha256,
    distinguishedName(issuer.name),
    sequence(time(Date.now() - hour), time(Date.now() + hours * hour)),
    distinguishedName(subject.name),
    subject.publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...subject.extensions)),
  )
  const signature = sign('sha256', content, issuer.key)
  const der = sequence(content, ecdsaWithSha256, tlv(0x03, Buffer.from([0]), signature))
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}

function serial(): string {
  return randomBytes(8).toString('hex')
}

function generalName(name: string): Buffer {
  return isIPv4(name)
    ? tlv(0x87, Buffer.from(name.split('.').map(Number)))
    : tlv(0x82, Buffer.from(name))
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [tlv(0x01, Buffer.from([0xff]))] : []
  return sequence(identifier(id), ...flag, tlv(0x04, value))
}

function distinguishedName(commonName: string): Buffer {
  const text = tlv(0x0c, Buffer.from(commonName))
  return sequence(tlv(0x31, sequence(identifier('550403'), text)))
}

/** GeneralizedTime, `YYYYMMDDHHMMSSZ`. */
function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, '')
  return tlv(0x18, Buffer.from(digits))
}

/** An object identifier, its content in hex. */
function identifier(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, 'hex'))
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, ...parts)
}

/** Tag, length, value. */
function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts)
  const { length } = value
  const short = length < 0x80
  const digits = Buffer.from(length.toString(16).padStart(length < 0x100 ? 2 : 4, '0'), 'hex')
  const head = short ? [tag, length] : [tag, 0x80 | digits.length, ...digits]
  return Buffer.concat([Buffer.from(head), value])
}
