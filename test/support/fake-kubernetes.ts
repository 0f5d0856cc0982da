// The two objects that self-managed certificates are about, with the optimistic concurrency of the real
// API: a Secret and a configuration of webhooks, behind the calls that the program makes.

import {
  type KubernetesApi,
  KubernetesError,
  type PatchOperation,
} from '../../src/kubernetes/kubernetes-api.ts'

interface Secret {
  readonly metadata?: { readonly resourceVersion?: string }
  readonly data?: Readonly<Record<string, string>>
}

export class FakeKubernetes {
  /** Methods that were called. */
  readonly calls: string[] = []
  #secret: Secret | undefined
  #version = 1
  #webhooks = [{ name: 'validator.trow.io', clientConfig: { caBundle: '' } }]
  readonly #refused = new Map<string, number>()

  constructor(parts: { readonly secret?: Secret } = {}) {
    if (parts.secret !== undefined)
      this.#secret = { ...parts.secret, metadata: this.#nextVersion() }
  }

  get api(): KubernetesApi {
    const fake: Pick<KubernetesApi, 'get' | 'create' | 'replace' | 'patch'> = {
      get: async (path) => this.#get(path),
      create: async (_, body) => this.#create(body),
      replace: async (_, body) => this.#replace(body),
      patch: async (path, operations) => this.#patch(path, operations),
    }
    return fake as KubernetesApi
  }

  /** PEM. */
  bundle(): string {
    return Buffer.from(this.#webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString()
  }

  setBundle(caBundle: string): void {
    this.#webhooks = [{ name: 'validator.trow.io', clientConfig: { caBundle } }]
  }

  refuse(method: string, status: number | undefined): void {
    if (status === undefined) this.#refused.delete(method)
    else this.#refused.set(method, status)
  }

  #nextVersion() {
    this.#version += 1
    return { resourceVersion: String(this.#version) }
  }

  async #enter(method: string, path: string): Promise<void> {
    this.calls.push(method)
    const status = this.#refused.get(method)
    if (status !== undefined) throw new KubernetesError(`${method} ${path}`, status, 'refused')
    // So that calls of several replicas interleave.
    await new Promise((resolve) => setImmediate(resolve))
  }

  async #get(path: string): Promise<unknown> {
    await this.#enter('GET', path)
    if (path.includes('configurations')) return { webhooks: structuredClone(this.#webhooks) }
    if (this.#secret === undefined) throw new KubernetesError(`GET ${path}`, 404, 'not found')
    return this.#secret
  }

  async #create(body: object): Promise<unknown> {
    await this.#enter('POST', 'secrets')
    if (this.#secret !== undefined) throw new KubernetesError('POST secrets', 409, 'exists')
    this.#secret = { ...body, metadata: this.#nextVersion() }
    return this.#secret
  }

  async #replace(body: object): Promise<unknown> {
    await this.#enter('PUT', 'secrets')
    const read = (body as Secret).metadata?.resourceVersion
    if (read !== this.#secret?.metadata?.resourceVersion) {
      throw new KubernetesError('PUT secrets', 409, 'the object has been modified')
    }
    this.#secret = { ...body, metadata: this.#nextVersion() }
    return this.#secret
  }

  async #patch(path: string, operations: readonly PatchOperation[]): Promise<unknown> {
    await this.#enter('PATCH', path)
    for (const { op, value } of operations) if (op === 'add') this.setBundle(String(value))
    return {}
  }
}
