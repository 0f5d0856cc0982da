/**
 * Logins at private ECR registries, whose passwords Amazon hands out for twelve hours: fetched once
 * for all registries of a region, replaced in good time while the old one is still used, and at once
 * when a registry refuses one. What was refused moments after it was fetched is not the password's
 * fault, and when Amazon has none to give it is not asked again for a while.
 */
import { limits } from '../config/limits.ts'
import { LruCache } from '../lib/lru-cache.ts'
import { type EcrHost, parseEcrHost } from '../oci/ecr-host.ts'
import type { RegistryHost } from '../oci/image-reference.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { Clock } from '../registry/ports/clock.ts'
import { type Credentials, type CredentialSource, PasswordCredentials } from './credentials.ts'
import type { EcrApiOptions, EcrToken } from './ecr-api.ts'
import { SharedFlight } from './shared-flight.ts'
import type { UpstreamLog } from './upstream-settings.ts'

/** Who has tokens: Amazon's SDK, or a test. An error's message is shown, so it holds no secret. */
export type EcrApi = (host: EcrHost, signal: AbortSignal) => Promise<EcrToken>

/** Amazon's SDK, of which nothing is loaded before the first login. */
export function amazonApi(options: Omit<EcrApiOptions, 'signal'>): EcrApi {
  return async (host, signal) => {
    const { fetchEcrToken } = await import('./ecr-api.ts')
    return await fetchEcrToken(host, { ...options, signal })
  }
}

interface Login {
  readonly credentials: PasswordCredentials
  readonly fetchedAt: number
  readonly refreshAt: number
  readonly expiresAt: number
}

interface Failure {
  readonly reason: string
  readonly until: number
}

const usedShareOfLife = 0.9

export class EcrCredentials {
  readonly #api: EcrApi
  readonly #clock: Clock
  readonly #log: UpstreamLog | undefined
  readonly #logins = new LruCache<string, Login>({ entriesMax: limits.ecrLoginsMax })
  readonly #failures = new LruCache<string, Failure>({ entriesMax: limits.ecrLoginsMax })
  readonly #flights = new SharedFlight<Login>()

  constructor(api: EcrApi, clock: Clock, log?: UpstreamLog) {
    this.#api = api
    this.#clock = clock
    this.#log = log
  }

  /** @returns undefined for a host that is no private ECR registry. */
  sourceFor(host: RegistryHost): CredentialSource | undefined {
    const ecr = parseEcrHost(host)
    if (ecr === undefined) return undefined
    return {
      getCredentials: async (signal, refused) => await this.#get(host, ecr, signal, refused),
    }
  }

  async #get(
    host: RegistryHost,
    ecr: EcrHost,
    signal: AbortSignal,
    refused: Credentials | undefined,
  ): Promise<Credentials> {
    const login = this.#logins.get(keyOf(ecr))
    const now = this.#clock.now()
    if (login === undefined || now >= login.expiresAt) {
      return (await this.#fetch(host, ecr, signal)).credentials
    }
    const holdsUntil = login.fetchedAt + limits.ecrRefusalSecondsMin * 1000
    if (login.credentials === refused && now >= holdsUntil) {
      return (await this.#renew(host, ecr, signal))?.credentials ?? login.credentials
    }
    // Nobody waits: the one there is holds for another hour.
    if (now >= login.refreshAt) void this.#renew(host, ecr, new AbortController().signal)
    return login.credentials
  }

  /** Never rejects, as there is a password that may do. */
  async #renew(host: RegistryHost, ecr: EcrHost, signal: AbortSignal): Promise<Login | undefined> {
    if (this.#failureOf(ecr) !== undefined) return undefined
    try {
      return await this.#fetch(host, ecr, signal)
    } catch (error) {
      const reason = error instanceof Error ? error.message : ''
      this.#log?.warn({ upstream: host, reason }, 'the ECR login could not be renewed')
      return undefined
    }
  }

  async #fetch(host: RegistryHost, ecr: EcrHost, signal: AbortSignal): Promise<Login> {
    const known = this.#failureOf(ecr)
    if (known !== undefined) throw loginError(host, known.reason)
    const key = keyOf(ecr)
    try {
      return await this.#flights.join(key, signal, async (flightSignal) => {
        const login = readLogin(await this.#api(ecr, flightSignal), this.#clock.now())
        this.#logins.set(key, login)
        this.#log?.info({ upstream: host, region: ecr.region }, 'logged in to ECR')
        return login
      })
    } catch (error) {
      signal.throwIfAborted()
      const reason = error instanceof Error ? error.message : 'the AWS SDK failed'
      const until = this.#clock.now() + limits.ecrFailureHoldsSeconds * 1000
      this.#failures.set(key, { reason, until })
      throw loginError(host, reason, error)
    }
  }

  #failureOf(ecr: EcrHost): Failure | undefined {
    const failure = this.#failures.get(keyOf(ecr))
    return failure !== undefined && this.#clock.now() < failure.until ? failure : undefined
  }
}

/** A password is the same for all registries of a region that its owner may see. */
function keyOf({ region, fips, dualStack }: EcrHost): string {
  return JSON.stringify([region, fips, dualStack])
}

function readLogin({ token, expiresAt }: EcrToken, now: number): Login {
  const text = Buffer.from(token, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon <= 0 || !(expiresAt > now)) throw new Error('Amazon answered without a usable token')
  return {
    credentials: new PasswordCredentials(text.slice(0, colon), text.slice(colon + 1)),
    fetchedAt: now,
    refreshAt: now + usedShareOfLife * (expiresAt - now),
    expiresAt,
  }
}

function loginError(host: RegistryHost, reason: string, cause?: unknown): UpstreamError {
  const message =
    `cannot log in to ${host} with AWS credentials: ${reason}; give Trow a role (IRSA, Pod ` +
    'Identity, the instance) or AWS_* variables that allow ecr:GetAuthorizationToken, or list the ' +
    'host in registry_proxies.registries with username AWS and a password_file'
  return new UpstreamError(message, { host, problem: 'login', cause })
}
