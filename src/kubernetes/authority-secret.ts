/**
 * The authority that all replicas share, in one Secret: `ca.crt` and `ca.key`, and `previous.crt` with
 * `previous.key` while a new one is taking over. Whoever writes it says which version it has read, so of
 * replicas that start or rotate at the same time one wins, and the others take what it wrote.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { type Authority, isDue, isExpired, makeAuthority } from './authority.ts'
import { type KubernetesApi, KubernetesError } from './kubernetes-api.ts'

/** What is in force. */
export interface SharedAuthority {
  readonly current: Authority
  /** Still believed, so that nothing fails until everybody knows the current one. */
  readonly previous?: Authority
}

interface Place {
  readonly namespace: string
  readonly name: string
}

interface Settings {
  readonly lifetimeSeconds: number
  /** Writes that others may be faster with, one after the other. */
  readonly attemptsMax: number
}

interface Secret {
  readonly metadata?: { readonly resourceVersion?: string }
  readonly data?: Readonly<Record<string, string>>
}

export class AuthoritySecret {
  readonly #api: KubernetesApi
  readonly #place: Place
  readonly #settings: Settings

  constructor(api: KubernetesApi, place: Place, settings: Settings) {
    this.#api = api
    this.#place = place
    this.#settings = settings
  }

  /** Reads the authority; makes the first one, and a new one when it is time. */
  async read(now: number): Promise<SharedAuthority> {
    for (let attempt = 1; ; attempt += 1) {
      const secret = await this.#find()
      const shared = secret && readShared(secret, now)
      if (shared !== undefined && !isDue(shared.current.cert, now)) return shared
      try {
        return await this.#write(secret, await this.#next(shared?.current, now))
      } catch (error) {
        const wasFaster = error instanceof KubernetesError && error.status === 409
        if (!wasFaster || attempt >= this.#settings.attemptsMax) throw error
      }
    }
  }

  async #next(previous: Authority | undefined, now: number): Promise<SharedAuthority> {
    const current = await makeAuthority({ now, seconds: this.#settings.lifetimeSeconds })
    return { current, ...(previous !== undefined && { previous }) }
  }

  async #find(): Promise<Secret | undefined> {
    try {
      return (await this.#api.get(this.#path(this.#place.name))) as Secret
    } catch (error) {
      if (error instanceof KubernetesError && error.status === 404) return undefined
      throw error
    }
  }

  async #write(secret: Secret | undefined, shared: SharedAuthority): Promise<SharedAuthority> {
    const { namespace, name } = this.#place
    const body = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      ...secret,
      data: dataOf(shared),
    }
    if (secret !== undefined) {
      await this.#api.replace(this.#path(name), body)
      return shared
    }
    await this.#api.create(this.#path(''), { ...body, metadata: { namespace, name } })
    return shared
  }

  #path(name: string): string {
    const secrets = `/api/v1/namespaces/${this.#place.namespace}/secrets`
    return name === '' ? secrets : `${secrets}/${name}`
  }
}

function dataOf({ current, previous }: SharedAuthority): Record<string, string> {
  const encode = (text: string): string => Buffer.from(text).toString('base64')
  return {
    'ca.crt': encode(current.cert),
    'ca.key': encode(current.key),
    ...(previous && {
      'previous.crt': encode(previous.cert),
      'previous.key': encode(previous.key),
    }),
  }
}

/** @returns undefined for a Secret that has none yet, or one that nobody would believe. */
function readShared({ data = {} }: Secret, now: number): SharedAuthority | undefined {
  const read = (name: string): Authority | undefined => {
    const [cert, key] = [`${name}.crt`, `${name}.key`].map((field) =>
      Buffer.from(data[field] ?? '', 'base64').toString('utf8'),
    )
    if (cert === undefined || key === undefined || !isUsable(cert, key, now)) return undefined
    return { cert, key }
  }
  const [current, previous] = [read('ca'), read('previous')]
  if (current === undefined) return undefined
  return { current, ...(previous !== undefined && { previous }) }
}

/** Anybody who may write the Secret may have written anything: another key than the certificate's, too. */
function isUsable(cert: string, key: string, now: number): boolean {
  try {
    const [certificate, privateKey] = [new X509Certificate(cert), createPrivateKey(key)]
    // What signs certificates here makes no others.
    const isOurKind = privateKey.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    const isPair = certificate.ca && certificate.checkPrivateKey(privateKey)
    return isOurKind && isPair && !isExpired(cert, now)
  } catch {
    return false
  }
}
