/**
 * The configuration file: every key, what it means, its default and how its value is read. This is
 * the only place that knows them: flags and environment variables are read through it
 * (`settings.ts`), and `docs/configuration.md` is held to it by a test.
 *
 * A key that is absent and a key without a value mean the same. Unknown keys are errors.
 */
import * as z from 'zod'
import { parseAddressRange } from './address-range.ts'
import { parseByteSize } from './byte-size.ts'
import { checkDuration, durationForm, formatDuration, parseDuration } from './duration.ts'
import { formatHostPort, parseBindAddress, parseHostPort } from './host-port.ts'
import { InvalidSetting } from './invalid-setting.ts'
import { limits } from './limits.ts'
import { parseOrigin } from './origin.ts'

/** What is known of a key besides its type. */
export interface KeyFacts {
  readonly description: string
  /** The default as it would be written in the file; absent when there is none. */
  readonly initial?: unknown
  /** A change shows only after a restart. */
  readonly restart?: true
}

const privateRanges = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '::1/128',
  'fe80::/10',
  'fc00::/7',
]

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'off'] as const
export const logFormats = ['auto', 'pretty', 'json'] as const

/** A key with a default, which is written as it would be in the file. */
function withDefault<T extends z.ZodType>(schema: T, facts: KeyFacts & { initial: unknown }) {
  return z.preprocess((value) => value ?? facts.initial, schema).meta({ ...facts })
}

function optional<T extends z.ZodType>(schema: T, facts: KeyFacts) {
  return z.preprocess((value) => value ?? undefined, schema.optional()).meta({ ...facts })
}

function section<T extends z.ZodType>(schema: T, description: string) {
  return z.preprocess((value) => value ?? {}, schema).meta({ description })
}

/** A value that `parse` reads; what it says of a wrong one is what the user is told. */
function read<Input, Output>(
  input: z.ZodType<Input>,
  parse: (value: Input) => Output,
): z.ZodPipe<z.ZodType<Input>, z.ZodTransform<Output, Input>> {
  return input.transform((value, context): Output => {
    try {
      return parse(value)
    } catch (error) {
      if (!(error instanceof InvalidSetting)) throw error
      context.issues.push({ code: 'custom', message: error.message, input: value })
      return z.NEVER
    }
  })
}

const text = read(z.string(), (value) => {
  if (value.trim() !== '') return value
  throw new InvalidSetting('is empty')
})

/** Spaces count in a password. */
const password = read(z.string(), (value) => {
  if (value === '') throw new InvalidSetting('is empty')
  if (Buffer.byteLength(value) <= limits.passwordBytesMax) return value
  throw new InvalidSetting(`is longer than ${limits.passwordBytesMax} bytes`)
})

const userName = read(text, (value) => {
  // RFC 7617: the colon ends the name, and control characters have no encoding.
  if (!/[:\p{Cc}]/u.test(value)) return value
  throw new InvalidSetting('a user name may not hold ":" or control characters')
})

const hostPort = read(z.string(), (value) => formatHostPort(parseHostPort(value)))

function listOf<T extends z.ZodType>(entry: T) {
  return z.preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(entry))
}

function duration(min: number, max: number) {
  return read(z.string({ error: durationForm }), (value) =>
    checkDuration(parseDuration(value), min, max),
  )
}

const tls = z.strictObject({
  cert: text.meta({ description: 'File with the certificate chain, PEM' }),
  key: text.meta({ description: 'File with the private key, PEM, without a passphrase' }),
})

const auth = z.strictObject({
  user: optional(userName, { description: 'Name to log in with; without it, anyone may push' }),
  password: optional(password, {
    description: 'Password to log in with, or `file://PATH` to read it from a file',
  }),
  password_file: optional(text, { description: 'File that holds the password' }),
  anonymous_pull: withDefault(z.boolean(), {
    description: 'Lets anyone pull; pushing and deleting still need the login',
    initial: false,
  }),
})

const uploads = z.strictObject({
  idle_timeout: withDefault(duration(limits.uploadIdleSecondsMin, limits.uploadIdleSecondsMax), {
    description: 'An upload that nothing was sent to for this long is removed',
    initial: formatDuration(limits.uploadIdleSecondsDefault),
  }),
})

const registryProxy = z.strictObject({
  host: hostPort.meta({ description: 'Registry this entry is for, as images name it' }),
  path_prefix: optional(read(z.string(), trimSlashes), {
    description: 'Only for repositories below this path; the longest prefix that fits is used',
  }),
  username: optional(userName, { description: 'Name to log in there with' }),
  password: optional(password, {
    description: 'Password to log in there with, or `file://PATH` to read it from a file',
  }),
  password_file: optional(text, { description: 'File that holds that password' }),
  insecure: withDefault(z.boolean(), {
    description: 'Speaks HTTP instead of HTTPS to it',
    initial: false,
  }),
})

const registryProxies = z.strictObject({
  offline: withDefault(z.boolean(), {
    description: 'Asks no other registry, serves what is cached',
    initial: false,
  }),
  max_size: optional(read(z.union([z.string(), z.number()]), parseByteSize), {
    description: 'Disk that cached content may take',
  }),
  registries: withDefault(z.array(registryProxy), {
    description: 'Registries that need a login or plain HTTP; all others need no entry',
    initial: [],
  }),
})

const imageValidation = z.strictObject({
  default: z
    .enum(['Allow', 'Deny'])
    .meta({ description: 'What happens to an image that no prefix fits: `Allow` or `Deny`' }),
  allow: withDefault(z.array(text), {
    description: 'Prefixes of images that may run',
    initial: [],
  }),
  deny: withDefault(z.array(text), {
    description: 'Prefixes of images that may not run, even where one of `allow` fits',
    initial: [],
  }),
})

export const configSchema = z.strictObject({
  bind: withDefault(read(z.string(), parseBindAddress), {
    description: 'Address and port to listen on',
    initial: '[::]:8000',
    restart: true,
  }),
  data_dir: withDefault(text, {
    description: 'Directory that holds everything the registry stores',
    initial: './data',
    restart: true,
  }),
  hostname: withDefault(listOf(hostPort), {
    description: 'Names this registry is reached by; one, or a list',
    initial: [],
  }),
  tls: optional(tls, { description: 'Serves HTTPS instead of HTTP' }),
  auth: section(auth, 'Who may log in'),
  cors: withDefault(listOf(read(z.string(), parseOrigin)), {
    description: 'Origins of web pages that may use the registry, or `*`',
    initial: [],
  }),
  log_level: withDefault(z.enum(logLevels), {
    description: `Least severe level to log: ${logLevels.join(', ')}`,
    initial: 'info',
  }),
  log_format: withDefault(z.enum(logFormats), {
    description: 'Form of the log: `pretty`, `json`, or `auto`, pretty on a terminal only',
    initial: 'auto',
    restart: true,
  }),
  trusted_proxies: withDefault(listOf(read(z.string(), parseAddressRange)), {
    description: 'Proxies whose `Forwarded` and `X-Forwarded-*` headers are believed',
    initial: privateRanges,
  }),
  uploads: section(uploads, 'Pushes in progress'),
  shutdown_grace: withDefault(duration(0, limits.shutdownGraceSecondsMax), {
    description: 'Time that requests in progress get to finish when the program is stopped',
    initial: formatDuration(limits.shutdownGraceSecondsDefault),
  }),
  registry_proxies: section(registryProxies, 'Pulling through this registry from others'),
  image_validation: optional(imageValidation, {
    description: 'Which images the admission webhook lets run',
  }),
})

/** The file's settings with defaults filled in and values read. */
export type Settings = z.output<typeof configSchema>

function trimSlashes(value: string): string {
  return value.replaceAll(/^\/+|\/+$/g, '')
}
