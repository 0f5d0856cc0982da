/**
 * The settings that have a flag and an environment variable: one row each. The variable's name is
 * the flag's in capitals (`--data-dir`, `TROW_DATA_DIR`); what a value means is the schema's affair.
 */
import type { KeyPath } from './layer.ts'

export interface Setting {
  /** Long flag with its value, as commander declares it. */
  readonly flag: `--${string}`
  readonly short?: `-${string}`
  /** The key it sets; absent for what is about the files themselves or one run only. */
  readonly key?: KeyPath
  /** `list`: may be repeated, and separated by commas. */
  readonly kind: 'text' | 'list' | 'switch' | 'tls'
  readonly group: string
  /** Where there is no key, or the key's own words do not fit. */
  readonly description?: string
}

/** What a bare `--tls` means. */
export const tlsPairDefault = './certs/domain.crt,./certs/domain.key'

const listen = 'Address and names:'
const webhooks = 'Admission webhooks:'
const access = 'Access:'
export const configurationGroup = 'Configuration:'
const logging = 'Logging:'

export const settings = [
  {
    flag: '--bind <address>',
    key: ['bind'],
    kind: 'text',
    group: listen,
    description: 'IP, IP:PORT, [IPV6]:PORT or HOST:PORT to listen on; port 8000 if none is given',
  },
  {
    flag: '--hostname <name>',
    short: '-n',
    key: ['hostname'],
    kind: 'list',
    group: listen,
    description: 'name this registry is reached by; repeat it for several',
  },
  {
    flag: '--tls [cert,key]',
    key: ['tls'],
    kind: 'tls',
    group: listen,
    description: `serve HTTPS with this certificate and key; ${tlsPairDefault} if none are given`,
  },
  {
    flag: '--cors <origin>',
    key: ['cors'],
    kind: 'list',
    group: listen,
    description: 'origin of web pages that may use the registry, or *; repeat it for several',
  },
  {
    flag: '--trusted-proxies <network>',
    key: ['trusted_proxies'],
    kind: 'list',
    group: listen,
    description: 'proxies whose Forwarded and X-Forwarded-* headers are believed',
  },
  {
    flag: '--admission-bind <address>',
    key: ['admission', 'bind'],
    kind: 'text',
    group: webhooks,
    description: 'address to serve the webhooks on over HTTPS, beside --bind; needs a certificate',
  },
  {
    flag: '--admission-tls <cert,key>',
    key: ['admission', 'tls'],
    kind: 'tls',
    group: webhooks,
    description: 'certificate and key of --admission-bind',
  },
  {
    flag: '--data-dir <directory>',
    short: '-d',
    key: ['data_dir'],
    kind: 'text',
    group: 'Storage:',
  },
  {
    flag: '--user <name>',
    short: '-U',
    key: ['auth', 'user'],
    kind: 'text',
    group: access,
    description: 'name to log in with; needs --password. Without it, anyone may push',
  },
  {
    flag: '--password <password>',
    short: '-P',
    key: ['auth', 'password'],
    kind: 'text',
    group: access,
    description: 'password to log in with, or file://PATH to read it from a file; needs --user',
  },
  {
    flag: '--anonymous-pull',
    key: ['auth', 'anonymous_pull'],
    kind: 'switch',
    group: access,
    description: 'let anyone pull; pushing and deleting still need the login',
  },
  {
    flag: '--config-file <file>',
    short: '-c',
    kind: 'list',
    group: configurationGroup,
    description: 'YAML file with settings; several are put together',
  },
  {
    flag: '--image-validation-config-file <file>',
    kind: 'list',
    group: configurationGroup,
    description: 'older name of --config-file, put together with it',
  },
  {
    flag: '--dry-run',
    kind: 'switch',
    group: configurationGroup,
    description: 'validate the configuration, say what it is, and exit',
  },
  {
    flag: '--log-level <level>',
    key: ['log_level'],
    kind: 'text',
    group: logging,
  },
  {
    flag: '--log-format <format>',
    key: ['log_format'],
    kind: 'text',
    group: logging,
    description: 'auto, pretty or json; auto is pretty on a terminal only',
  },
] as const satisfies readonly Setting[]

/** `--data-dir` */
export function longFlag(setting: Setting): string {
  return setting.flag.split(' ')[0] ?? setting.flag
}

/** `TROW_DATA_DIR` */
export function environmentName(setting: Setting): string {
  return `TROW_${longFlag(setting).slice(2).replaceAll('-', '_').toUpperCase()}`
}
