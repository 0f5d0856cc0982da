// The results as Markdown: one section for each benchmark, replaced when it runs again. What stands
// between the sections is written by people and stays.

import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { type Aim, type Benchmark, isMet, type Outcome, type Table } from './bench.ts'

const file = fileURLToPath(new URL('../results.md', import.meta.url))

interface Measured {
  readonly about: string
  readonly outcome: Outcome
  readonly notes: readonly string[]
}

export function renderSection(
  { name, title, method }: Benchmark,
  { about, outcome, notes }: Measured,
): string {
  const { tables, aims } = outcome
  const parts = [
    `<!-- measured: ${name} -->`,
    `## ${title}`,
    method,
    `_${about}_`,
    ...tables.map(renderTable),
    ...(aims.length > 0 ? [renderTable(aimsTable(aims))] : []),
    ...notes.map((note) => `Note: ${note}.`),
    `<!-- end: ${name} -->`,
  ]
  return `${parts.join('\n\n')}\n`
}

/** In its place, or at the end. */
export async function saveSection(name: string, section: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch(() => '# Results\n')
  const [start, end] = [`<!-- measured: ${name} -->`, `<!-- end: ${name} -->\n`]
  const [from, to] = [text.indexOf(start), text.indexOf(end)]
  const replaced =
    from === -1 || to === -1
      ? `${text}\n${section}`
      : text.slice(0, from) + section + text.slice(to + end.length)
  await writeFile(file, replaced)
}

function aimsTable(aims: readonly Aim[]): Table {
  const rows = aims.map((aim) => [
    aim.about,
    aimOf(aim),
    number(aim.measured) + aim.unit,
    verdict(aim),
  ])
  return { columns: ['aim', 'wanted', 'measured', 'met'], rows }
}

function aimOf({ atLeast, atMost, unit }: Aim): string {
  if (atLeast !== undefined) return `≥ ${atLeast}${unit}`
  return atMost === undefined ? '-' : `≤ ${atMost}${unit}`
}

function verdict(aim: Aim): string {
  if (aim.atLeast === undefined && aim.atMost === undefined) return '-'
  return isMet(aim) ? 'yes' : '**no**'
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2)
}

/** Columns as wide as their widest cell: the formatter of this project wants it so. */
export function renderTable({ columns, rows }: Table): string {
  const widths = columns.map((column, index) =>
    Math.max(3, column.length, ...rows.map((row) => (row[index] ?? '').length)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  return [line(columns), rule, ...rows.map(line)].join('\n')
}
