/**
 * The authorities that the API server believes of a webhook: `caBundle` in each webhook of one
 * configuration, kept to what it should be whoever else writes it.
 */
import type { KubernetesApi, PatchOperation } from './kubernetes-api.ts'

export type WebhookKind = 'validating' | 'mutating'

interface Configuration {
  readonly webhooks?: readonly {
    readonly name?: string
    readonly clientConfig?: { readonly caBundle?: string }
  }[]
}

export class CaBundle {
  readonly #api: KubernetesApi
  readonly #path: string

  constructor(api: KubernetesApi, kind: WebhookKind, name: string) {
    this.#api = api
    this.#path = `/apis/admissionregistration.k8s.io/v1/${kind}webhookconfigurations/${name}`
  }

  /** What every webhook of it has; undefined when they differ or have none. */
  async read(): Promise<string | undefined> {
    const { webhooks = [] } = await this.#get()
    const bundles = new Set(webhooks.map(({ clientConfig }) => clientConfig?.caBundle ?? ''))
    const [only] = bundles
    if (bundles.size !== 1 || only === undefined || only === '') return undefined
    return Buffer.from(only, 'base64').toString('utf8')
  }

  /** @param bundle certificates, PEM. @returns whether something had to be changed. */
  async write(bundle: string): Promise<boolean> {
    const value = Buffer.from(bundle).toString('base64')
    const { webhooks = [] } = await this.#get()
    const operations = webhooks.flatMap(({ name, clientConfig }, index): PatchOperation[] => {
      if (clientConfig?.caBundle === value) return []
      const path = `/webhooks/${index}`
      // Should somebody have put another one there meanwhile, all of it fails, and is done again.
      return [
        { op: 'test', path: `${path}/name`, value: name },
        { op: 'add', path: `${path}/clientConfig/caBundle`, value },
      ]
    })
    if (operations.length === 0) return false
    await this.#api.patch(this.#path, operations)
    return true
  }

  async #get(): Promise<Configuration> {
    return (await this.#api.get(this.#path)) as Configuration
  }
}
