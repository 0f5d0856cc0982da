/**
 * A configuration that cannot be used: every problem at once, one line each, so that nobody has to
 * start the program five times to find five mistakes. A line starts with where the mistake is (file
 * with line and column, environment variable or flag) and never holds a secret's value.
 */
import { StartError } from '../lib/start-error.ts'
import type { Fingerprints } from './file-reader.ts'
import { limits } from './limits.ts'

/** For wrong flags, variables and files alike. */
const exitCode = 2

export class ConfigError extends StartError {
  override readonly name: string = 'ConfigError'
  readonly problems: readonly string[]
  /** The files that were looked at: a change of one of them may mend the configuration. */
  readonly fingerprints: Fingerprints

  constructor(problems: readonly string[], fingerprints: Fingerprints = new Map()) {
    super(message(problems), { exitCode })
    this.problems = problems
    this.fingerprints = fingerprints
  }
}

function message(problems: readonly string[]): string {
  const [first] = problems
  if (problems.length === 1 && first !== undefined) return first
  const shown = problems.slice(0, limits.configProblemsShownMax).map((problem) => `  ${problem}`)
  const more = problems.length - shown.length
  if (more > 0) shown.push(`  ... and ${more} more`)
  return [`the configuration has ${problems.length} problems:`, ...shown].join('\n')
}
