/**
 * `npm test`: every test that this machine can run, or those below the paths given as arguments. Says
 * which real clients were not found, and ends with the line `N passed, N failed`.
 */
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { findTool, installHint, toolNames } from '../test/support/tools.ts'

const root = resolve(import.meta.dirname, '..')

/** The slowest first: the end of a run is then not one long test alone. */
const folders = ['e2e', 'faults', 'simulation', 'contract', 'protocol', 'unit', '']

function findTestFiles(paths: string[]): string[] {
  const wanted = paths.length === 0 ? [resolve(root, 'test')] : paths.map((path) => resolve(path))
  const files = globSync('test/**/*.test.ts', { cwd: root })
    .map((file) => resolve(root, file))
    .filter((file) => wanted.some((path) => file === path || file.startsWith(`${path}/`)))
  const rank = (file: string): number =>
    folders.findIndex((folder) => file.startsWith(resolve(root, 'test', folder)))
  return files.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
}

function reportMissingClients(): void {
  const missing = toolNames.filter((name) => findTool(name) === undefined)
  if (missing.length === 0) return
  console.log(`\nNot found on this machine, so tests with them were skipped:`)
  for (const name of missing) console.log(`  ${name} (${installHint(name)})`)
}

const files = findTestFiles(process.argv.slice(2))
if (files.length === 0) {
  console.error('no test file matches')
  process.exit(2)
}
console.log(`running ${files.length} test files below ${relative(process.cwd(), root) || '.'}`)

const counts = { passed: 0, failed: 0, skipped: 0 }
// Some of a test is waiting: where Node.js would run one file at a time, on two cores, two take less time.
const concurrency = Math.max(2, availableParallelism() - 1)
const stream = run({ files, concurrency, timeout: 15 * 60_000 })
stream.on('test:summary', (summary) => {
  // One summary for each file, and a last one for the whole run, which has no file.
  if (summary.file !== undefined) return
  counts.passed = summary.counts.passed
  counts.failed =
    summary.counts.tests - summary.counts.passed - summary.counts.skipped - summary.counts.todo
  counts.skipped = summary.counts.skipped
})
stream.on('end', () => {
  reportMissingClients()
  const skipped = counts.skipped === 0 ? '' : `, ${counts.skipped} skipped`
  console.log(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`)
  process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1
})
stream.compose(new spec()).pipe(process.stdout)
