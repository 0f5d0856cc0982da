/** Web origins as browsers send them (RFC 6454): scheme, host and port, nothing after. */
import { InvalidSetting } from './invalid-setting.ts'

/** @returns the origin in the form that a browser's `Origin` header has, or `*`. */
export function parseOrigin(text: string): string {
  if (text === '*') return text
  const url = URL.parse(text)
  const isOrigin = url !== null && url.pathname === '/' && url.search === '' && url.hash === ''
  if (!isOrigin || !/^https?:$/.test(url.protocol) || url.username !== '' || text.includes('?')) {
    throw new InvalidSetting(
      `expected an origin such as "https://ui.example.com", or "*", found "${text}"`,
    )
  }
  return url.origin
}
