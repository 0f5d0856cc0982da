// Hostile text and documents from a seed: sound ones that are bent in a few places, with what has
// broken parsers before in those.

import type { Random } from '../../simulation/random.ts'

/** What has broken somebody. */
const shards = [
  '',
  '\0',
  '\r\n',
  '\n',
  ' ',
  '\t',
  '%',
  '%00',
  '%0d%0a',
  '%2e%2e%2f',
  '%2F',
  '%252e',
  '%c0%ae',
  '%ff',
  '%zz',
  '..',
  '../',
  '../../../../etc/passwd',
  '..\\',
  './',
  '/',
  '//',
  '\\',
  ':',
  '::',
  '@',
  '#',
  '?',
  '&',
  ';',
  ',',
  '=',
  '"',
  "'",
  '`',
  '*',
  '-',
  '--',
  '_',
  '___',
  '.',
  '+',
  '~',
  '$',
  '{}',
  '[]',
  '<script>',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'null',
  'undefined',
  'NaN',
  'Infinity',
  'true',
  '0',
  '-0',
  '-1',
  '1e999',
  '0x10',
  '9007199254740993',
  '99999999999999999999999999',
  'a',
  'A',
  'ä',
  'é',
  'İ',
  '\u{1f4a9}',
  '\ud800',
  '\u202e',
  '\ufeff',
  '\u0085',
  'a'.repeat(130),
  'a'.repeat(300),
  '/a'.repeat(200),
  '-'.repeat(400),
  ':1'.repeat(300),
  '"\\'.repeat(200),
  ','.repeat(500),
  ' '.repeat(500),
  '(('.repeat(300),
] as const

/** Bent in one to four places. */
export function bend(random: Random, text: string): string {
  let bent = text
  for (let count = 1 + random.below(4); count > 0; count -= 1) bent = bendOnce(random, bent)
  return bent
}

/** The sound one now and then: what is behind a parser wants to be reached, too. */
export function maybeBend(random: Random, text: string): string {
  return random.chance(2) ? text : bend(random, text)
}

function bendOnce(random: Random, text: string): string {
  const at = random.below(text.length + 1)
  const end = Math.min(text.length, at + random.below(8))
  const before = text.slice(0, at)
  const after = text.slice(at)
  switch (random.below(8)) {
    case 0:
      return before + text.slice(end)
    case 1:
      return before + text.slice(at, end) + after
    case 2:
      return before
    case 3:
      return before + String.fromCharCode(random.below(random.chance(8) ? 0x1_0000 : 256)) + after
    case 4:
      return random.chance(2) ? text.toUpperCase() : encodeURIComponent(text.toWellFormed())
    case 5:
      return text + text.slice(0, 2_000)
    default:
      return before + random.pick(shards) + after
  }
}

/** Characters of one byte, as what is sent as latin1 has them. */
export function oneByte(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

/** Any JSON value, as no encoder would write it. */
export function hostileJson(random: Random, depth = 0): string {
  const inner = (): string => hostileJson(random, depth + 1)
  const key = (): string => JSON.stringify(random.pick(shards))
  const many = Array.from({ length: depth > 4 ? 0 : random.below(4) })
  switch (random.below(10)) {
    case 0:
      return `{${many.map(() => `${key()}:${inner()}`).join(',')}}`
    case 1:
      return `[${many.map(inner).join(',')}]`
    case 2:
      return random.pick(['1e999', '-0', '1e-400', '99999999999999999999', '-1', '0.5', '1E5'])
    case 3:
      return random.pick(['null', 'true', 'false'])
    case 4:
      return `{"__proto__":${inner()},"a":1,"a":${inner()}}`
    case 5:
      return nested(random)
    default:
      return JSON.stringify(random.pick(shards))
  }
}

/** Deeper than any stack, now and then. */
function nested(random: Random): string {
  const depth = random.pick([3, 50, 1_000, random.chance(20) ? 100_000 : 10])
  const [open, close] = random.pick([
    ['[', ']'],
    ['{"a":', '}'],
  ] as const)
  return `${open.repeat(depth)}1${random.chance(10) ? '' : close.repeat(depth)}`
}
