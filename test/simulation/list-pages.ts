// Lists that come in pages, as a whole.

/** All entries, in pages of two. */
export async function listPages<T>(
  list: (page: { limit: number; after?: string }) => Promise<{ entries: T[]; next?: string }>,
): Promise<T[]> {
  const entries: T[] = []
  let after: string | undefined
  do {
    const page = await list({ limit: 2, ...(after !== undefined && { after }) })
    entries.push(...page.entries)
    after = page.next
  } while (after !== undefined)
  return entries
}
