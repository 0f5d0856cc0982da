/**
 * What else of the environment concerns Trow: variables that look like settings and are none, and
 * `RUST_LOG`, with which today's users set the log level.
 */
import { nearest } from './nearest.ts'
import { environmentName, settings } from './settings.ts'
import type { Environment } from './sources.ts'

/**
 * What Kubernetes and Docker put into the environment for a service or link whose name begins with
 * `trow`; a service named just that makes `TROW_PORT=tcp://10.0.0.1:8000`.
 */
const injected =
  /^TROW_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?|NAME|ENV_\w+)$/

/** @returns a warning for each variable that is probably a setting misspelt. */
export function unknownVariables(environment: Environment): string[] {
  const known = settings.map(environmentName)
  return Object.keys(environment)
    .filter((name) => name.startsWith('TROW_') && !known.includes(name) && !injected.test(name))
    .sort()
    .map((name) => {
      const near = nearest(name, known)
      const hint = near === undefined ? '' : `; did you mean ${near}?`
      return `${name} is no setting of Trow and is ignored${hint}`
    })
}

/**
 * @param value of `RUST_LOG`: directives such as `info`, `trow=debug` or `warn,trow=debug`; those for
 * other targets mean nothing here.
 * @returns the level, or undefined when it says none for Trow.
 */
export function levelFromRustLog(value: string): string | undefined {
  const levels = new Map<string, string>()
  for (const directive of value.toLowerCase().split(',')) {
    const [target = '', level] = directive.split('=').map((part) => part.trim())
    if (level !== undefined) levels.set(target, level)
    else if (target === 'trow') levels.set(target, 'trace')
    else if (rustLevels.has(target)) levels.set('', target)
  }
  const level = levels.get('trow') ?? levels.get('')
  return level !== undefined && rustLevels.has(level) ? level : undefined
}

const rustLevels = new Set(['trace', 'debug', 'info', 'warn', 'error', 'off'])
