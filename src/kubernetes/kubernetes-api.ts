/**
 * The few calls to the Kubernetes API that Trow makes from inside a cluster, as its service account. The
 * token is read for each call, since kubelet replaces it; answers are bounded, and nobody waits long.
 */
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { Transform } from 'node:stream'

export interface KubernetesSettings {
  /** Of the API server, as Kubernetes tells every container. */
  readonly host: string
  readonly port: number
  /** With `token`, `ca.crt` and `namespace`. */
  readonly directory: string
  readonly secondsMax: number
  readonly answerBytesMax: number
}

/** What is sent, as the API server takes it: an object, or a list of operations for a JSON patch. */
export type PatchOperation = {
  readonly op: 'test' | 'replace' | 'add'
  readonly path: string
  readonly value: unknown
}

/** An answer that is no success. */
export class KubernetesError extends Error {
  readonly status: number

  constructor(what: string, status: number, message: string) {
    super(`the Kubernetes API answered ${status} to ${what}${message === '' ? '' : `: ${message}`}`)
    this.name = 'KubernetesError'
    this.status = status
  }
}

export class KubernetesApi {
  readonly #settings: KubernetesSettings

  constructor(settings: KubernetesSettings) {
    this.#settings = settings
  }

  /** The pod's own. @throws when the directory has none. */
  async ownNamespace(): Promise<string> {
    return (await this.#read('namespace')).trim()
  }

  get(path: string): Promise<unknown> {
    return this.#call('GET', path)
  }

  create(path: string, body: object): Promise<unknown> {
    return this.#call('POST', path, body)
  }

  /** Fails with 409 when the object has changed since it was read. */
  replace(path: string, body: object): Promise<unknown> {
    return this.#call('PUT', path, body)
  }

  patch(path: string, operations: readonly PatchOperation[]): Promise<unknown> {
    return this.#call('PATCH', path, operations, 'application/json-patch+json')
  }

  /** @throws KubernetesError, or what the connection ended with. */
  async #call(
    method: string,
    path: string,
    body?: object,
    contentType = 'application/json',
  ): Promise<unknown> {
    const { host, port, secondsMax, answerBytesMax } = this.#settings
    const [token, ca] = await Promise.all([this.#read('token'), this.#read('ca.crt')])
    const bytes = body && Buffer.from(JSON.stringify(body))
    const headers = {
      Authorization: `Bearer ${token.trim()}`,
      Accept: 'application/json',
      'User-Agent': 'trow',
      ...(bytes && { 'Content-Type': contentType, 'Content-Length': bytes.length }),
    }
    const signal = AbortSignal.timeout(secondsMax * 1000)
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
    const sent = request(
      { host, port, path, method, headers, ca, signal, agent: false },
      (answer) => {
        const status = answer.statusCode ?? 0
        readText(answer.pipe(atMost(answerBytesMax))).then(
          (text) => resolve({ status, text }),
          reject,
        )
        answer.once('error', reject)
      },
    )
    sent.once('error', reject)
    sent.end(bytes)
    const { status, text } = await promise
    const answered = parse(text)
    if (status >= 200 && status < 300) return answered
    throw new KubernetesError(`${method} ${path}`, status, messageOf(answered))
  }

  #read(name: string): Promise<string> {
    return readFile(join(this.#settings.directory, name), 'utf8')
  }
}

function atMost(bytesMax: number): Transform {
  let left = bytesMax
  return new Transform({
    transform(chunk: Buffer, _, done) {
      left -= chunk.length
      if (left < 0) done(new Error(`the Kubernetes API answered with more than ${bytesMax} bytes`))
      else done(null, chunk)
    },
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Of the API's `Status`. */
function messageOf(answered: unknown): string {
  const { message } = (answered ?? {}) as { message?: unknown }
  return typeof message === 'string' ? message.slice(0, 500) : ''
}
