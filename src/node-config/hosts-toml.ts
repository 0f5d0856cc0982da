/**
 * containerd's `hosts.toml`: the hosts that are asked in place of a registry, in order, and `server`,
 * the one that is asked last. What somebody else wrote there goes on to count, after ours: as text, so
 * that nothing of it is lost, and read again to be sure that it means what both meant.
 */
import { isDeepStrictEqual } from 'node:util'
import { parse, type TomlTable } from 'smol-toml'
import { limits } from '../config/limits.ts'
import { authorityFile } from './authority-file.ts'
import type { Mirror } from './mirror.ts'
import type { NodeSettings } from './runtime.ts'

export function formatHostsToml(settings: NodeSettings, before?: string): string {
  if (!settings.isFallingBack) return formatFinal(settings)
  const theirs = before === undefined ? undefined : parseToml(before)
  const known = Object.keys(tableIn(theirs, 'host'))
  const added = settings.mirrors.filter(({ url }) => !known.includes(url))
  const ours = added.map((mirror) => formatHost(mirror, settings)).join('\n')
  // What containerd could not read either is no loss.
  if (before === undefined || theirs === undefined) return ours
  return insertBeforeTables(before, theirs, ours)
}

/**
 * Certificates in a directory count for the registry itself only as long as there is no `hosts.toml`:
 * what that has to say so that they go on to count.
 * @param names of the directory's files.
 */
export function formatCertificates(names: readonly string[]): string | undefined {
  const authorities = names.filter((name) => name.endsWith('.crt') && name !== authorityFile)
  const pairs = names
    .filter((name) => name.endsWith('.cert'))
    .map((name) => [name, name.replace(/cert$/, 'key')])
    .map(([certificate = '', key = '']) => (names.includes(key) ? [certificate, key] : certificate))
  const lines = [
    ...(authorities.length > 0 ? [`ca = ${JSON.stringify(authorities)}\n`] : []),
    ...(pairs.length > 0 ? [`client = ${JSON.stringify(pairs)}\n`] : []),
  ]
  return lines.length > 0 ? lines.join('') : undefined
}

/** @returns undefined for what is no TOML. */
export function parseToml(text: string): TomlTable | undefined {
  try {
    // The parser's tables have no prototype, and so equal no others.
    return structuredClone(parse(text))
  } catch {
    return undefined
  }
}

export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function tableIn(table: TomlTable | undefined, key: string): TomlTable {
  const value = table?.[key]
  return isTable(value) ? value : {}
}

function formatHost(mirror: Mirror, settings: NodeSettings): string {
  return `[host.${JSON.stringify(mirror.url)}]\n${formatAccess(mirror, settings)}`
}

/** The last mirror takes the place of the registry. */
function formatFinal(settings: NodeSettings): string {
  const others = settings.mirrors.slice(0, -1)
  const last = settings.mirrors.at(-1) ?? settings.mirrors[0]
  const server = `server = ${JSON.stringify(last.url)}\n${formatAccess(last, settings)}`
  return [server, ...others.map((mirror) => formatHost(mirror, settings))].join('\n')
}

/** containerd waits for a connection as long as `dial_timeout` says from 2.1 on; older ones 30 s. */
function formatAccess({ isSecure }: Mirror, { ca, isFallingBack }: NodeSettings): string {
  const lines = ['capabilities = ["pull", "resolve"]']
  if (isFallingBack) lines.push(`dial_timeout = "${limits.nodeDialSeconds}s"`)
  // Beside this file.
  if (isSecure && ca !== undefined) lines.push(`ca = "${authorityFile}"`)
  return `${lines.join('\n')}\n`
}

/** Keys without a table have to come before the first table, and what comes first is asked first. */
function insertBeforeTables(before: string, theirs: TomlTable, ours: string): string {
  const lines = before.split('\n')
  const hosts = { ...tableIn(parseToml(ours), 'host'), ...tableIn(theirs, 'host') }
  const meant = { ...theirs, host: hosts }
  for (let line = 0; line <= lines.length; line++) {
    if (line < lines.length && !/^\s*\[/.test(lines[line] ?? '')) continue
    const head = `${lines.slice(0, line).join('\n')}\n`
    // A line within a list of several lines can begin with a bracket, too.
    if (parseToml(head) === undefined) continue
    const parts = [head, ours, lines.slice(line).join('\n')].filter((part) => part.trim() !== '')
    const merged = parts.map((part) => part.replace(/\n*$/, '\n')).join('\n')
    const read = parseToml(merged)
    const order = Object.keys(tableIn(read, 'host'))
    if (isDeepStrictEqual([read, order], [meant, Object.keys(hosts)])) return merged
  }
  return ours
}
