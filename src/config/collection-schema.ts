/** The part of the schema about garbage collection: what is kept how long when nobody needs it. */
import * as z from 'zod'
import { checkDuration, durationForm, formatDuration, parseDuration } from './duration.ts'
import { limits } from './limits.ts'
import { duration, read, withDefault } from './schema-fields.ts'

const untagged = read(z.string({ error: durationForm }), (value): number | 'keep' => {
  if (value === 'keep') return value
  const seconds = parseDuration(value)
  return checkDuration(seconds, limits.untaggedSecondsMin, limits.untaggedSecondsMax)
})

export const collection = z.strictObject({
  enabled: withDefault(z.boolean(), {
    description: 'Whether Trow collects by itself; `trow gc` does in any case',
    initial: true,
  }),
  interval: withDefault(
    duration(limits.collectionIntervalSecondsMin, limits.collectionIntervalSecondsMax),
    {
      description: 'Time from the end of one pass to the next one',
      initial: formatDuration(limits.collectionIntervalSecondsDefault),
    },
  ),
  grace: withDefault(duration(limits.collectionGraceSecondsMin, limits.collectionGraceSecondsMax), {
    description:
      'For so long a blob stays that no manifest of its repository needs, after it was pushed, mounted or asked for',
    initial: formatDuration(limits.collectionGraceSecondsDefault),
  }),
  untagged: withDefault(untagged, {
    description:
      '`keep`, or for how long a manifest stays that no tag, index or subject holds and nobody pulls',
    initial: 'keep',
  }),
})
