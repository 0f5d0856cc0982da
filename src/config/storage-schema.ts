/** The part of the schema about the disk: how much all content may take. */
import * as z from 'zod'
import { parseByteSize } from './byte-size.ts'
import { optional, read, withDefault } from './schema-fields.ts'

const bytes = read(z.union([z.string(), z.number()]), parseByteSize)

export const storage = z.strictObject({
  max_size: optional(bytes, {
    description:
      'What all content together may take, cached content included; pushes beyond it are refused',
  }),
  min_free: optional(bytes, {
    description:
      'Disk that is to stay free: the cache gives back, and pushes are refused, before it is used',
  }),
  verify_reads: withDefault(z.boolean(), {
    initial: true,
    description:
      'Hash a blob beside its first read, so that bytes which rotted on the disk are not served',
  }),
})
