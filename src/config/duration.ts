/** Lengths of time as the configuration writes them: `30s`, `1h30m`, `7d`. */
import { InvalidSetting } from './invalid-setting.ts'

const unitSeconds = { d: 86_400, h: 3_600, m: 60, s: 1, ms: 0.001 } as const

export const durationForm = 'expected a duration such as "30s", "15m", "24h" or "7d"'

type Unit = keyof typeof unitSeconds

const term = /(\d+(?:\.\d+)?)(ms|[dhms])/g

/** @returns seconds. @throws InvalidSetting */
export function parseDuration(text: string): number {
  const compact = text.replaceAll(/\s+/g, '').toLowerCase()
  const terms = [...compact.matchAll(term)]
  if (compact === '' || terms.map(([all]) => all).join('') !== compact) {
    throw new InvalidSetting(durationForm)
  }
  return terms.reduce((sum, [, n, unit]) => sum + Number(n) * unitSeconds[unit as Unit], 0)
}

/** @throws InvalidSetting when `seconds` is not between the two. */
export function checkDuration(seconds: number, min: number, max: number): number {
  if (seconds >= min && seconds <= max) return seconds
  throw new InvalidSetting(`expected between ${formatDuration(min)} and ${formatDuration(max)}`)
}

/** Text that {@link parseDuration} reads as `seconds`; a day is shown as `24h`. */
export function formatDuration(seconds: number): string {
  let rest = Math.round(seconds * 1000)
  let text = ''
  for (const [unit, length] of Object.entries(unitSeconds).slice(1)) {
    const count = Math.floor(rest / (length * 1000))
    if (count > 0) text += `${count}${unit}`
    rest -= count * length * 1000
  }
  return text === '' ? '0s' : text
}
