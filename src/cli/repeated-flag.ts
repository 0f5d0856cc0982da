/** A flag that may be repeated, for commander. */
export function collected(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}
