/** The part of the schema about checking what is stored. */
import * as z from 'zod'
import { parseByteSize } from './byte-size.ts'
import { checkDuration, durationForm, parseDuration } from './duration.ts'
import { limits } from './limits.ts'
import { read, withDefault } from './schema-fields.ts'

const interval = read(z.string({ error: durationForm }), (value): number | 'never' => {
  if (value === 'never') return value
  return checkDuration(
    parseDuration(value),
    limits.scrubIntervalSecondsMin,
    limits.scrubIntervalSecondsMax,
  )
})

export const scrub = z.strictObject({
  interval: withDefault(interval, {
    description: 'Time from the end of one scrub with repair to the next one, or `never`',
    initial: 'never',
  }),
  rate: withDefault(read(z.union([z.string(), z.number()]), parseByteSize), {
    description: 'Bytes a second that a scrub of a running Trow reads at most',
    initial: '50MB',
  }),
})
