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

/** Names that other programs have for what is called otherwise here. */
const otherwise: ReadonlyMap<string, string> = new Map([
  ['TROW_PASSWORD_FILE', 'TROW_PASSWORD=file://PATH'],
  ['TROW_PORT', 'TROW_BIND=[::]:PORT'],
])

/** @returns a warning for each variable that is probably a setting misspelt. */
export function unknownVariables(environment: Environment): string[] {
  const known = settings.map(environmentName)
  return Object.keys(environment)
    .filter((name) => name.startsWith('TROW_') && !known.includes(name))
    .filter((name) => !injected.test(name) || isPortNumber(name, environment[name]))
    .sort()
    .map((name) => {
      const near = otherwise.get(name) ?? nearest(name, known)
      const hint = near === undefined ? '' : `; did you mean ${near}?`
      return `${name} is no setting of Trow and is ignored${hint}`
    })
}

/** Kubernetes and Docker set it to a URL. */
function isPortNumber(name: string, value: string | undefined): boolean {
  return name === 'TROW_PORT' && /^\d+$/.test(value ?? '')
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
