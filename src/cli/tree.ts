/** A tree as text: branches drawn with lines, the cells of siblings aligned in columns. */
import { printable } from '../oci/upstream-error.ts'

export interface Branch {
  /** What is shown of it, in columns. */
  readonly cells: readonly string[]
  readonly children?: readonly Branch[]
}

/** The lines of the branches; the texts of others in them cannot leave their line. */
export function renderTree(branches: readonly Branch[]): string[] {
  const rows = branches.map(({ cells }) => cells.map(printable))
  const widths: number[] = []
  for (const row of rows) {
    // A lone cell is a sentence, which should not push the columns of its siblings apart.
    if (row.length < 2) continue
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
  }
  return branches.flatMap(({ children = [] }, i) => {
    const isLast = i === branches.length - 1
    const line = (rows[i] ?? []).map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
    const below = renderTree(children).map((text) => (isLast ? '   ' : '│  ') + text)
    return [`${isLast ? '└─' : '├─'} ${line.trimEnd()}`, ...below]
  })
}
