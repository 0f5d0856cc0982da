/** Parameters of a query that are on or off: `?dry-run`, `?dry-run=true`. */
import { OciError } from '../oci/errors.ts'

const words = new Map([
  ['', true],
  ['true', true],
  ['false', false],
])

/** @throws OciError UNSUPPORTED (400): what is not understood must not count as off. */
export function readSwitch(query: URLSearchParams, name: string): boolean {
  const text = query.get(name)
  if (text === null) return false
  const value = words.get(text)
  if (value !== undefined) return value
  throw new OciError('UNSUPPORTED', {
    status: 400,
    message: `the parameter ${name} is true or false`,
  })
}
