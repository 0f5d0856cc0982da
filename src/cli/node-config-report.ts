/** What `trow node-config` says: a line for each file, then what is wrong, then what else to know. */
import type { NodeReport } from '../node-config/configure-node.ts'
import type { Printout } from '../node-config/printouts.ts'
import type { InstallableName } from '../node-config/runtimes.ts'

export interface ShownReport extends NodeReport {
  readonly runtime: InstallableName
}

export function formatReport(report: ShownReport, format: 'text' | 'json'): string {
  if (format === 'json') return `${JSON.stringify(report, undefined, 2)}\n`
  const files = report.files.map(({ path, change }) => `${change.padEnd(9)}  ${path}`)
  if (files.length === 0) files.push('nothing to do')
  const problems = report.problems.map((text) => `problem: ${text}`)
  const notes = report.notes.map((text) => `note: ${text}`)
  return `${[`${report.runtime}:`, ...files, ...problems, ...notes].join('\n')}\n`
}

/** One is printed as it is, to be written into a file; several each have their name above them. */
export function formatPrintouts(printouts: readonly Printout[]): string {
  const [first] = printouts
  if (first !== undefined && printouts.length === 1) return first.text
  return printouts.map(({ title, text }) => `# ${title}\n${text}`).join('\n')
}
