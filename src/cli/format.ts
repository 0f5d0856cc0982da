/** Sizes, platforms and digests as people read them, the way other clients write them. */
import type { Platform } from '../oci/descriptor.ts'

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** Decimal units and three significant digits, as docker has them: `31.2 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  const text = unit === 0 ? String(value) : String(Number(value.toPrecision(3)))
  return `${text} ${units[unit]}`
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant ? [variant] : [])].join('/')
}

/** Enough of a digest to tell it from others by eye. */
export function shortDigest(digest: string): string {
  return digest.slice(0, digest.indexOf(':') + 13)
}

/** `1 tag`, `2 tags`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : pluralOf(noun)}`
}

/** Of the nouns that are counted here: `tags`, `repositories`. */
export function pluralOf(noun: string): string {
  return noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`
}

/** In the largest unit of which there are two: `8 s`, `90 min`, `6 h`. */
export function formatSeconds(seconds: number): string {
  const [length, unit] = durations.find(([length]) => seconds >= 2 * length) ?? [1, 's']
  return `${Math.round(seconds / length)} ${unit}`
}

const durations = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
] as const
