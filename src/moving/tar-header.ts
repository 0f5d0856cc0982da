/** Headers of tar archives: POSIX.1-2001 (ustar and pax), and GNU's large numbers. Pure. */
import { MoveError } from './content-source.ts'

export interface TarHeader {
  readonly path: string
  /** `0` and `7` files, `1` hard and `2` symbolic links, `5` directories, `x`, `L` and `K` more header. */
  readonly type: string
  readonly size: number
  readonly link: string
}

/** A block of zeros ends an archive. */
export function isEnd(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

/** @param at where it stands, for the error. @throws MoveError */
export function parseHeader(bytes: Buffer, at: number): TarHeader {
  const sum = bytes.reduce((total, byte, index) => total + (isChecksum(index) ? 32 : byte), 0)
  const written = parseNumber(bytes.subarray(148, 156))
  const size = parseNumber(bytes.subarray(124, 136))
  if (written !== sum || size === undefined) {
    throw new MoveError(at === 0 ? 'it is no tar archive' : `the archive is damaged at byte ${at}`)
  }
  const name = textOf(bytes.subarray(0, 100))
  const isUstar = bytes.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isUstar ? textOf(bytes.subarray(345, 500)) : ''
  const type = bytes.toString('latin1', 156, 157)
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    type: type === '\0' ? '0' : type,
    size,
    link: textOf(bytes.subarray(157, 257)),
  }
}

function isChecksum(index: number): boolean {
  return index >= 148 && index < 156
}

/** Octal digits, or a big-endian number behind a set bit. */
function parseNumber(field: Buffer): number | undefined {
  if ((field[0] ?? 0) >= 0x80) {
    const value = field.reduce(
      (total, byte, index) => total * 256 + (index === 0 ? byte & 0x7f : byte),
      0,
    )
    return Number.isSafeInteger(value) ? value : undefined
  }
  const text = textOf(field).trim()
  if (text === '') return 0
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined
}

/** Up to the first zero. */
export function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

/** `27 path=a/long/name\n`, one after the other. */
export function parsePax(bytes: Buffer): { path?: string; size?: number; link?: string } {
  const records = new Map<string, string>()
  for (let at = 0; at < bytes.length;) {
    const [digits = ''] = /^[0-9]{1,7}(?= )/.exec(bytes.toString('latin1', at, at + 8)) ?? []
    const length = Number(digits)
    if (digits === '' || length <= digits.length)
      throw new MoveError('the archive has a damaged header')
    const record = bytes.toString('utf8', at + digits.length + 1, at + length - 1)
    const equals = record.indexOf('=')
    records.set(record.slice(0, equals), record.slice(equals + 1))
    at += length
  }
  const path = records.get('path')
  const link = records.get('linkpath')
  const size = records.get('size')
  return {
    ...(path !== undefined && { path }),
    ...(link !== undefined && { link }),
    ...(size !== undefined && /^[0-9]{1,15}$/.test(size) && { size: Number(size) }),
  }
}
