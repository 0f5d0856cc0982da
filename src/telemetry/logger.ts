/**
 * The program's log: pretty lines on a terminal, one JSON object a line elsewhere. Values under names
 * that carry secrets are replaced before they are written; of an error only what describes it is
 * written, its causes included.
 *
 * A child logger keeps the level it was made with: make children for requests, not for components.
 */
import pino from 'pino'
import type { LogFormat, LogLevel } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { LineBatch } from './line-batch.ts'

export type Logger = pino.Logger

export interface LogOptions {
  readonly level: LogLevel
  readonly format: LogFormat
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean
}

const stdout = 1
const depthMax = 8

export async function createLogger({ level, format, isTerminal }: LogOptions): Promise<Logger> {
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal)
  return makeLogger(level, isPretty ? await prettyStream(isTerminal) : jsonStream())
}

/** Writes JSON lines to any destination. */
export function makeLogger(level: LogLevel, destination: pino.DestinationStream): Logger {
  return pino(
    {
      level: pinoLevel(level),
      base: null,
      timestamp: isoTimestamps(),
      formatters: { level: (label) => ({ level: label }), log: withoutSecrets },
      serializers: { err: (error: unknown) => describeError(error, depthMax) },
    },
    destination,
  )
}

/** pino's own, except that lines of the same millisecond, dozens on a busy registry, share the text. */
function isoTimestamps(): () => string {
  let written = Number.NaN
  let text = ''
  return () => {
    const now = Date.now()
    if (now === written) return text
    written = now
    text = `,"time":"${new Date(now).toISOString()}"`
    return text
  }
}

export function setLogLevel(log: Logger, level: LogLevel): void {
  log.level = pinoLevel(level)
}

function pinoLevel(level: LogLevel): pino.LevelWithSilent {
  return level === 'off' ? 'silent' : level
}

/** Asynchronous, so that a slow reader of the log does not hold up requests; flushed at exit. */
function jsonStream(): pino.DestinationStream {
  const output = pino.destination({ fd: stdout, sync: false, maxLength: limits.logBufferBytesMax })
  const lines = new LineBatch(output)
  process.once('exit', () => lines.flushSync())
  return lines
}

/** In this thread: a worker would outlive what it logs for, or lose its last lines. */
async function prettyStream(colorize: boolean): Promise<pino.DestinationStream> {
  const { default: pretty } = await import('pino-pretty')
  return pretty({
    colorize,
    sync: true,
    destination: stdout,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    // What the message of an access line says already.
    ignore: 'method,path,status',
  })
}

const secretName = /password|passwd|secret|authorization|token|cookie|^credentials$/i

/** @returns `fields`, copied only where something had to be replaced. */
function withoutSecrets(fields: Record<string, unknown>): Record<string, unknown> {
  return redact(fields, depthMax)
}

function redact(fields: Record<string, unknown>, depth: number): Record<string, unknown> {
  let copy = fields
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    const clean = isText(value) && secretName.test(name) ? '[secret]' : redactInner(value, depth)
    if (clean === value) continue
    if (copy === fields) copy = { ...fields }
    copy[name] = clean
  }
  return copy
}

function redactInner(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth === 0) return value
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  return redact(value as Record<string, unknown>, depth - 1)
}

/** Counts and switches (`tokenTtlSeconds: 60`) are no secrets. */
function isText(value: unknown): boolean {
  return typeof value === 'string' || Array.isArray(value)
}

interface ErrorDescription {
  readonly type: string
  readonly message: string
  readonly code?: unknown
  readonly stack?: string
  readonly cause?: ErrorDescription
  readonly errors?: readonly ErrorDescription[]
}

/** An error's other fields may hold anything, a request with its headers for one; they stay out. */
function describeError(error: unknown, depth: number): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) }
  const inner = (other: unknown) => describeError(other, depth - 1)
  return {
    type: error.name,
    message: error.message,
    ...('code' in error && { code: error.code }),
    ...(error.stack !== undefined && { stack: error.stack }),
    ...(depth > 0 && error.cause !== undefined && { cause: inner(error.cause) }),
    ...(depth > 0 && error instanceof AggregateError && { errors: error.errors.map(inner) }),
  }
}
