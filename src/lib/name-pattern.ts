/**
 * Patterns of plain names, such as namespaces and users: `*` stands for any characters, the rest for
 * itself. Matching takes time proportional to the name for each star, whatever either of them holds.
 */

/** A pattern as what stands between its stars: one piece when there is none. */
export type NamePattern = readonly string[]

export function parseNamePattern(text: string): NamePattern {
  return text.split('*')
}

export function formatNamePattern(pieces: NamePattern): string {
  return pieces.join('*')
}

export function matchesName(pieces: NamePattern, name: string): boolean {
  const first = pieces[0] ?? ''
  const last = pieces.at(-1) ?? ''
  if (pieces.length === 1) return first === name
  if (name.length < first.length + last.length) return false
  if (!name.startsWith(first) || !name.endsWith(last)) return false
  // The leftmost place for each piece leaves the most room for the next.
  let at = first.length
  for (let index = 1; index < pieces.length - 1; index++) {
    const piece = pieces[index] ?? ''
    const found = name.indexOf(piece, at)
    if (found < 0) return false
    at = found + piece.length
  }
  return at <= name.length - last.length
}
