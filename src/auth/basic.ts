/**
 * The `Authorization` header: Basic (RFC 7617) and Bearer (RFC 6750). Names and passwords stay bytes,
 * so that nothing a client sends is changed on the way to the comparison.
 */
import { ChallengeError } from './challenge.ts'

export interface Credentials {
  readonly user: Buffer
  readonly password: Buffer
}

export type Authorization =
  /** Without credentials when they could not be read, which makes them wrong. */
  | { readonly scheme: 'basic'; readonly credentials?: Credentials }
  | { readonly scheme: 'bearer'; readonly token: string }

const base64 = /^[A-Za-z0-9+/]*={0,2}$/
const colon = 0x3a

/** @throws ChallengeError for a scheme that is not offered. */
export function parseAuthorization(text: string): Authorization {
  const header = text.trim()
  const end = header.search(/[ \t]|$/)
  const scheme = header.slice(0, end)
  const value = header.slice(end).trimStart()
  if (scheme.toLowerCase() === 'bearer') return { scheme: 'bearer', token: value }
  if (scheme.toLowerCase() === 'basic') {
    const credentials = parseBasic(value)
    return { scheme: 'basic', ...(credentials && { credentials }) }
  }
  throw new ChallengeError({}, unknownScheme(scheme, value))
}

function parseBasic(value: string): Credentials | undefined {
  if (!base64.test(value)) return undefined
  const bytes = Buffer.from(value, 'base64')
  // A user's name holds no colon, a password may.
  const end = bytes.indexOf(colon)
  if (end === -1) return undefined
  return { user: bytes.subarray(0, end), password: bytes.subarray(end + 1) }
}

/** A header of one word may be a bare password or token: then nothing of it is repeated. */
function unknownScheme(scheme: string, value: string): string {
  const named = value !== '' && /^[a-z][a-z0-9-]{0,19}$/i.test(scheme) ? ` "${scheme}"` : ''
  return `the Authorization scheme${named} is not supported: use Basic or Bearer`
}
