/**
 * Amounts of bytes as the configuration writes them: `50GB`, `1.5 TiB`, `2 gigabytes`. What today's
 * Trow reads is read the same: `k` is 1000, `ki` is 1024, case and a space before the unit are free.
 */
import { InvalidSetting } from './invalid-setting.ts'

/** Place in the list = power; the words are decimal, those of 1024 (`kibi`) in the next list. */
const decimal = ['', 'kilo', 'mega', 'giga', 'tera', 'peta', 'exa'] as const
const binary = ['', 'kibi', 'mebi', 'gibi', 'tebi', 'pebi', 'exbi'] as const

const units = new Map<string, number>([['', 1]])
decimal.forEach((word, power) => addUnit(word, word.slice(0, 1), 1000 ** power))
binary.forEach((word, power) => addUnit(word, word.slice(0, 1) + (word && 'i'), 1024 ** power))

function addUnit(word: string, letters: string, bytes: number): void {
  for (const name of [`${letters}b`, `${word}byte`, `${word}bytes`]) units.set(name, bytes)
}

const amount = /^(\d+\.?\d*|\.\d+)\s*([a-z]*)$/

/** @returns bytes, rounded down. @throws InvalidSetting */
export function parseByteSize(value: string | number): number {
  const [, number, unit] = amount.exec(String(value).trim().toLowerCase()) ?? []
  const bytes = Math.floor(Number(number) * (units.get(unit ?? '') ?? NaN))
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes
  throw new InvalidSetting(`expected an amount of bytes such as "50GB" or "1.5 TiB"`)
}
