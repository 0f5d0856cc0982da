/**
 * `trow webhook`: the admission webhooks without a registry, so without a data directory. Health and
 * metrics are at `bind`, over plain HTTP for kubelet's probes; the webhooks are at `admission.bind`.
 */
import { randomBytes } from 'node:crypto'
import { Authenticator } from '../auth/authenticator.ts'
import type { Config } from '../config/config.ts'
import { version } from '../config/version.ts'
import type { Listener } from '../http/listener.ts'
import { healthRoutes } from '../http/routes/health.ts'
import { metricsRoutes } from '../http/routes/metrics.ts'
import type { WebhookListener } from '../http/webhook-listener.ts'
import { StartError } from '../lib/start-error.ts'
import type { Clock } from '../registry/ports/clock.ts'
import { makeProxyName } from '../registry/proxy-chain.ts'
import type { Logger } from '../telemetry/logger.ts'
import { Metrics } from '../telemetry/metrics.ts'
import { makeAdmitting } from './admitting.ts'
import type { Reloads } from './foundation.ts'
import { collectAfterStart } from './idling.ts'
import { accessSettings, listen, makeDispatcher } from './serving.ts'
import { serveWebhooks, WebhookReadiness, webhookRoutes } from './webhooks.ts'

interface Served {
  readonly address: string
  readonly listener: Listener
  readonly webhooks: WebhookListener | undefined
  readonly readiness: WebhookReadiness
}

export class WebhookApp {
  readonly address: string
  readonly #served: Served
  readonly #onReload: readonly ((changed: Config) => void)[]
  readonly #resources: AsyncDisposableStack

  private constructor(
    served: Served,
    onReload: readonly ((changed: Config) => void)[],
    resources: AsyncDisposableStack,
  ) {
    this.address = served.address
    this.#served = served
    this.#onReload = onReload
    this.#resources = resources
  }

  /** @throws StartError when something outside the program keeps it from starting. */
  static async start(config: Config, log: Logger, reloads: Reloads): Promise<WebhookApp> {
    if (config.admission.certificate === undefined) throw noCertificate()
    if (config.imageMutation?.pinDigests) throw noCache()
    await using resources = new AsyncDisposableStack()
    resources.use(collectAfterStart())
    const onReload: ((changed: Config) => void)[] = []
    const served = await serve({ config, log, reloads, onReload, resources })
    return new WebhookApp(served, onReload, resources.move())
  }

  /** @throws StartError for what only a registry has; then nothing is changed. */
  reload(config: Config): void {
    if (config.imageMutation?.pinDigests) throw noCache()
    for (const putInForce of this.#onReload) putInForce(config)
  }

  async stop(graceSeconds: number): Promise<void> {
    const { listener, webhooks, readiness } = this.#served
    readiness.stop()
    await webhooks?.close(graceSeconds)
    await listener.close(graceSeconds)
    await this.#resources.disposeAsync()
  }
}

interface Foundation {
  readonly config: Config
  readonly log: Logger
  readonly reloads: Reloads
  readonly onReload: ((changed: Config) => void)[]
  readonly resources: AsyncDisposableStack
}

async function serve(foundation: Foundation): Promise<Served> {
  const { config, log, reloads, onReload } = foundation
  const clock: Clock = { now: () => Date.now() }
  const admitting = await makeAdmitting({ config, clock, log, onReload })
  const metrics = new Metrics({ version, lastReload: () => reloads.lastReload })
  const readiness = new WebhookReadiness()
  // Nobody logs in here; every route is open to all.
  const authenticator = new Authenticator(
    { clock, signingKey: randomBytes(32) },
    accessSettings(config),
  )
  const serving = { ...foundation, authenticator, metrics, proxyName: makeProxyName() }
  const verbs = { ...admitting, metrics }
  const webhooks = await serveWebhooks(
    { ...foundation, clock, metrics, events: admitting.denials },
    makeDispatcher(serving, webhookRoutes(verbs, readiness)).listener,
    readiness,
  )
  const probes = [...healthRoutes(readiness), ...metricsRoutes(metrics)]
  return { ...(await listen(serving, makeDispatcher(serving, probes))), webhooks, readiness }
}

function noCache(): StartError {
  return new StartError(
    'image_mutation.pin_digests needs the cache, which trow webhook does not have: serve the webhooks ' +
      'beside the registry (trow serve --admission-bind), or take pin_digests out',
  )
}

function noCertificate(): StartError {
  return new StartError(
    'the API server asks webhooks over HTTPS only: set admission.tls (--admission-tls=CERT,KEY) to ' +
      'have the certificate from files, or admission.self_managed to have Trow make it',
  )
}
