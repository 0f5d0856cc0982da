/** The part of the schema about garbage collection: what is kept how long when nobody needs it. */
import * as z from 'zod'
import { formatDuration } from './duration.ts'
import { limits } from './limits.ts'
import { duration, withDefault } from './schema-fields.ts'

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
})
