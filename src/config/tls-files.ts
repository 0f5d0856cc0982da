/**
 * Checks that a certificate and a private key can be used together, before anything relies on them: a
 * pair of which only one half has been rotated is refused here. Authorities are checked as well.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

export interface TlsFiles {
  readonly certFile: string
  readonly cert: string
  readonly keyFile: string
  readonly key: string
}

/** @returns what is wrong, or undefined. */
export function checkTlsFiles(files: TlsFiles): string | undefined {
  const { certFile, cert, keyFile, key } = files
  const certificate = attempt(() => new X509Certificate(cert))
  if (certificate === undefined) return `${certFile} holds no certificate in PEM form`
  const privateKey = attempt((): KeyObject => createPrivateKey(key))
  if (privateKey === undefined) {
    return `${keyFile} holds no private key in PEM form (one with a passphrase cannot be used)`
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    return `the private key ${keyFile} does not belong to the certificate ${certFile}`
  }
  try {
    createSecureContext({ cert, key })
  } catch (error) {
    return `${certFile} cannot be used: ${error instanceof Error ? error.message : String(error)}`
  }
  return undefined
}

/** @param pem certificates of authorities, one after the other. @returns what is wrong. */
export function checkAuthorities(file: string, pem: string): string | undefined {
  const blocks = pem.match(certificateBlock) ?? []
  if (blocks.length === 0) return `${file} holds no certificate in PEM form`
  const bad = blocks.findIndex((block) => attempt(() => new X509Certificate(block)) === undefined)
  return bad < 0 ? undefined : `certificate ${bad + 1} of ${file} cannot be read`
}

const certificateBlock = /-----BEGIN CERTIFICATE-----[^]*?(?:-----END CERTIFICATE-----|$)/g

/** @returns a warning, or undefined. */
export function expiryWarning(files: TlsFiles, now: Date): string | undefined {
  const { validFromDate, validToDate } = new X509Certificate(files.cert)
  if (validToDate < now) {
    return `the certificate ${files.certFile} expired on ${validToDate.toISOString()}`
  }
  if (validFromDate > now) {
    return `the certificate ${files.certFile} is not valid before ${validFromDate.toISOString()}`
  }
  return undefined
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
