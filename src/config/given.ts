/** Properties that are there only with a value, as `exactOptionalPropertyTypes` wants them. */

/** The property, unless there is no value for it. */
export function given<Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: Value }
}
