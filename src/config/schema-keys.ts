/**
 * The keys of the schema as a flat list, each with its path (`registry_proxies.registries[].host`).
 * Suggestions for unknown keys and the test of the documentation are made from it.
 */
import * as z from 'zod'
import type { KeyFacts } from './schema-fields.ts'
import { configSchema } from './schema.ts'

export interface SchemaKey {
  readonly path: string
  readonly facts: Partial<KeyFacts>
  /** It only groups other keys. */
  readonly isSection: boolean
}

export const schemaKeys: readonly SchemaKey[] = [...keysOf(configSchema, '')]

/** Names of the keys directly below `path`. */
export function keyNamesBelow(path: string): string[] {
  const start = path === '' ? '' : `${path}.`
  return schemaKeys
    .filter((key) => key.path.startsWith(start))
    .map((key) => key.path.slice(start.length))
    .filter((name) => /^\w+$/.test(name))
}

function* keysOf(schema: z.ZodObject, parent: string): Generator<SchemaKey> {
  for (const [name, field] of Object.entries(schema.shape)) {
    const path = parent === '' ? name : `${parent}.${name}`
    const inner = withoutWrappers(field)
    yield { path, facts: factsOf(field), isSection: inner instanceof z.ZodObject }
    if (inner instanceof z.ZodObject) yield* keysOf(inner, path)
    if (!(inner instanceof z.ZodArray)) continue
    const entry = withoutWrappers(inner.element)
    if (entry instanceof z.ZodObject) yield* keysOf(entry, `${path}[]`)
  }
}

function factsOf(field: z.core.$ZodType): Partial<KeyFacts> {
  return ((field instanceof z.ZodType && field.meta()) || {}) as Partial<KeyFacts>
}

/** What a value is once absence and defaults have been dealt with. */
function withoutWrappers(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodOptional) return withoutWrappers(schema.unwrap())
  if (!(schema instanceof z.ZodPipe)) return schema
  const isPreprocess = schema.def.in instanceof z.ZodTransform
  return withoutWrappers(isPreprocess ? schema.def.out : schema.def.in)
}
