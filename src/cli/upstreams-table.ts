/** The table of `trow upstreams`: a row for each upstream, and below it one for each that stands in. */
import { formatBytes, formatSeconds } from './format.ts'
import type {
  ReportedCounts,
  ReportedEndpoint,
  ReportedUpstream,
  UpstreamsDocument,
} from './upstreams-document.ts'

export const upstreamTitles = [
  'UPSTREAM',
  'LAST CHECK',
  'STATE',
  'RATE LEFT',
  'HITS',
  'MISSES',
  'STALE',
  'FAILED',
  'SAVED',
] as const

export const numericTitles = ['HITS', 'MISSES', 'STALE', 'FAILED', 'SAVED'] as const

type Row = readonly string[]

/** @param now of the machine that shows it: the clock of the registry may be another one. */
export function upstreamRows(document: UpstreamsDocument, now = Date.now()): Row[] {
  const rows = document.upstreams.flatMap((upstream) => rowsOf(upstream, document, now))
  const { other } = document
  const hasOthers = Object.values(other).some((count) => count > 0)
  return hasOthers ? [...rows, ['others', '', '', '', ...countCells(other)]] : rows
}

function rowsOf(upstream: ReportedUpstream, document: UpstreamsDocument, now: number): Row[] {
  const { host, endpoints } = upstream
  const counts = countCells(upstream.counts)
  const [only, ...more] = endpoints
  if (only === undefined) return [[host, '-', stateOf(undefined, document, now), '-', ...counts]]
  if (more.length === 0 && nameOf(only) === host) {
    return [[host, ...endpointCells(only, document, now), ...counts]]
  }
  const below = endpoints.map((endpoint) => [
    `  ${nameOf(endpoint)}`,
    ...endpointCells(endpoint, document, now),
    ...counts.map(() => ''),
  ])
  return [[host, '', '', '', ...counts], ...below]
}

/** What failed last at whom, and how long ago, one line each. */
export function failureLines(document: UpstreamsDocument): string[] {
  return document.upstreams.flatMap(({ endpoints }) =>
    endpoints.flatMap((endpoint) => {
      const { lastFailure } = endpoint
      if (lastFailure === undefined) return []
      const age = ageOf(lastFailure.time, document)
      return `${nameOf(endpoint)}, ${age}: ${lastFailure.message}`
    }),
  )
}

function endpointCells(endpoint: ReportedEndpoint, document: UpstreamsDocument, now: number): Row {
  return [lastCheckOf(endpoint, document), stateOf(endpoint, document, now), rateOf(endpoint)]
}

function nameOf({ host, pathPrefix }: ReportedEndpoint): string {
  return pathPrefix === undefined ? host : `${host}/${pathPrefix}`
}

function lastCheckOf(
  { lastAnswer, lastFailure }: ReportedEndpoint,
  document: UpstreamsDocument,
): string {
  const times = [lastAnswer, lastFailure?.time].filter((time) => time !== undefined)
  const [last] = times.toSorted((one, other) => Date.parse(other) - Date.parse(one))
  return last === undefined ? '-' : ageOf(last, document)
}

function stateOf(
  endpoint: ReportedEndpoint | undefined,
  document: UpstreamsDocument,
  now: number,
): string {
  if (document.offline) return 'offline'
  if (endpoint === undefined) return 'not asked yet'
  const { suspended, breaker, lastAnswer, lastFailure } = endpoint
  if (suspended !== undefined) return suspensionOf(suspended, document, now)
  if (breaker !== 'closed') return 'failing, tried again at the next pull'
  if (lastFailure !== undefined && isAfter(lastFailure.time, lastAnswer)) return 'failing'
  return lastAnswer === undefined ? 'not asked yet' : 'ok'
}

function suspensionOf(
  { until, reason }: { readonly until: string; readonly reason: string },
  document: UpstreamsDocument,
  now: number,
): string {
  const milliseconds = Math.max(Date.parse(until) - Date.parse(document.time), 0)
  if (reason === 'failures') return `failing, retried in ${formatSeconds(milliseconds / 1000)}`
  const clock = timeOfDay(new Date(now + milliseconds))
  return reason === 'rate-limit' ? `rate-limited until ${clock}` : `login refused until ${clock}`
}

function timeOfDay(date: Date): string {
  return [date.getHours(), date.getMinutes()].map((n) => String(n).padStart(2, '0')).join(':')
}

function rateOf({ rateLimit }: ReportedEndpoint): string {
  if (rateLimit === undefined) return '-'
  const { limit, remaining, windowSeconds } = rateLimit
  const window = windowSeconds > 0 ? ` / ${formatSeconds(windowSeconds)}` : ''
  return `${remaining} of ${limit}${window}`
}

function countCells({ hits, misses, stale, failures, savedBytes }: ReportedCounts): Row {
  return [...[hits, misses, stale, failures].map(String), formatBytes(savedBytes)]
}

function ageOf(time: string, document: UpstreamsDocument): string {
  const seconds = (Date.parse(document.time) - Date.parse(time)) / 1000
  return `${formatSeconds(Math.max(seconds, 0))} ago`
}

function isAfter(time: string, other: string | undefined): boolean {
  return other === undefined || Date.parse(time) > Date.parse(other)
}
