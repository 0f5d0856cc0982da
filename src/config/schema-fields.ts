/**
 * What the schema's keys are made of: fields that may be absent, fields with a default, and values
 * that a parser of ours reads. A key without a value counts as absent everywhere.
 */
import * as z from 'zod'
import { checkDuration, durationForm, parseDuration } from './duration.ts'
import { formatHostPort, parseHostPort } from './host-port.ts'
import { InvalidSetting } from './invalid-setting.ts'
import { limits } from './limits.ts'

/** What is known of a key besides its type. */
export interface KeyFacts {
  readonly description: string
  /** The default as it would be written in the file; absent when there is none. */
  readonly initial?: unknown
  /** A change shows only after a restart. */
  readonly restart?: true
}

/** A key with a default, which is written as it would be in the file. */
export function withDefault<T extends z.ZodType>(
  schema: T,
  facts: KeyFacts & { initial: unknown },
) {
  return z.preprocess((value) => value ?? facts.initial, schema).meta({ ...facts })
}

export function optional<T extends z.ZodType>(schema: T, facts: KeyFacts) {
  return z.preprocess((value) => value ?? undefined, schema.optional()).meta({ ...facts })
}

export function section<T extends z.ZodType>(schema: T, description: string) {
  return z.preprocess((value) => value ?? {}, schema).meta({ description })
}

/** A value that `parse` reads; what it says of a wrong one is what the user is told. */
export function read<Input, Output>(
  input: z.ZodType<Input>,
  parse: (value: Input) => Output,
): z.ZodPipe<z.ZodType<Input>, z.ZodTransform<Output, Input>> {
  return input.transform((value, context): Output => {
    try {
      return parse(value)
    } catch (error) {
      if (!(error instanceof InvalidSetting)) throw error
      context.issues.push({ code: 'custom', message: error.message, input: value })
      return z.NEVER
    }
  })
}

export const text = read(z.string(), (value) => {
  if (value.trim() !== '') return value
  throw new InvalidSetting('is empty')
})

/** Spaces count in a password. */
export const password = read(z.string(), (value) => {
  if (value === '') throw new InvalidSetting('is empty')
  if (Buffer.byteLength(value) <= limits.passwordBytesMax) return value
  throw new InvalidSetting(`is longer than ${limits.passwordBytesMax} bytes`)
})

export const userName = read(text, (value) => {
  // RFC 7617: the colon ends the name, and control characters have no encoding.
  if (!/[:\p{Cc}]/u.test(value)) return value
  throw new InvalidSetting('a user name may not hold ":" or control characters')
})

export const hostPort = read(z.string(), (value) => formatHostPort(parseHostPort(value)))

export function listOf<T extends z.ZodType>(entry: T) {
  return z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(entry))
}

export function duration(min: number, max: number) {
  return read(z.string({ error: durationForm }), (value) =>
    checkDuration(parseDuration(value), min, max),
  )
}

/** @param form what is said of anything else. */
export function number(form: string, isValid: (value: number) => boolean) {
  return read(z.number({ error: form }), (value) => {
    if (isValid(value)) return value
    throw new InvalidSetting(form)
  })
}
