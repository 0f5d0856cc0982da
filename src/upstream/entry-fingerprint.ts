/** Tells entries apart by all that they say, secrets too, which it does not give away. */
import { createHash } from 'node:crypto'
import type { UpstreamEntry } from './upstream-settings.ts'

export function fingerprint(entries: UpstreamEntry | readonly UpstreamEntry[]): string {
  // A secret hides itself from JSON: only its holder still has it when the replacer is called.
  const text = JSON.stringify(
    entries,
    function replace(this: Record<string, unknown>, key: string, value: unknown) {
      const raw = this[key]
      return isRevealing(raw) ? { secret: raw.reveal() } : value
    },
  )
  return createHash('sha256').update(text).digest('base64')
}

function isRevealing(value: unknown): value is { reveal(): string } {
  return typeof value === 'object' && value !== null && 'reveal' in value
}
