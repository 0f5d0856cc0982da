/**
 * The configuration file: every key, what it means, its default and how its value is read. This file
 * and the sections it puts together are the only place that knows them: flags and environment
 * variables are read through it (`settings.ts`), and `docs/configuration.md` is held to it by a test.
 *
 * A key that is absent and a key without a value mean the same. Unknown keys are errors.
 */
import * as z from 'zod'
import { admission, imageMutation } from './admission-schema.ts'
import { parseAddressRange } from './address-range.ts'
import { collection } from './collection-schema.ts'
import { formatDuration } from './duration.ts'
import { parseBindAddress } from './host-port.ts'
import { imageValidation } from './image-validation-schema.ts'
import { limits } from './limits.ts'
import { parseOrigin } from './origin.ts'
import { storage } from './storage-schema.ts'
import { immutableTags, retentionRule } from './tag-policy-schema.ts'
import { registryProxies } from './registry-proxies-schema.ts'
import { scrub } from './scrub-schema.ts'
import {
  duration,
  hostPort,
  listOf,
  optional,
  password,
  read,
  section,
  text,
  userName,
  withDefault,
} from './schema-fields.ts'

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

export const configSchema = z.strictObject({
  bind: withDefault(
    read(z.string(), (value) => parseBindAddress(value)),
    {
      description: 'Address and port to listen on',
      initial: '[::]:8000',
      restart: true,
    },
  ),
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
  storage: section(storage, 'The disk'),
  gc: section(collection, 'Removing what nobody needs'),
  scrub: section(scrub, 'Checking what is stored'),
  immutable_tags: withDefault(immutableTags, {
    description:
      'Tags that are neither moved nor deleted: `v*`, or `team/*:v*` for some repositories',
    initial: [],
  }),
  retention: withDefault(z.array(retentionRule), {
    description: 'Which tags are kept how long; the first rule that fits a tag decides',
    initial: [],
  }),
  shutdown_grace: withDefault(duration(0, limits.shutdownGraceSecondsMax), {
    description: 'Time that requests in progress get to finish when the program is stopped',
    initial: formatDuration(limits.shutdownGraceSecondsDefault),
  }),
  registry_proxies: section(registryProxies, 'Pulling through this registry from others'),
  image_validation: optional(imageValidation, {
    description: 'Which images the admission webhook lets run',
  }),
  image_mutation: optional(imageMutation, {
    description: 'How the mutating webhook changes images of pods',
  }),
  admission: section(admission, 'How the API server reaches the webhooks'),
})

/** The file's settings with defaults filled in and values read. */
export type Settings = z.output<typeof configSchema>
