/**
 * The webhooks on a listener of their own, over HTTPS: with a certificate from files, or one that Trow
 * makes. It is there in `trow serve`, beside the registry, and all that there is in `trow webhook`.
 */
import type { Config } from '../config/config.ts'
import type { Route } from '../http/exchange.ts'
import type { RequestListener } from '../http/listener.ts'
import { type AdmissionVerbs, admissionRoutes } from '../http/routes/admission.ts'
import { mutationRoutes, type MutationVerbs } from '../http/routes/mutation.ts'
import { healthRoutes } from '../http/routes/health.ts'
import { WebhookListener } from '../http/webhook-listener.ts'
import type { EventCounts } from '../kubernetes/denial-events.ts'
import type { SelfManagedCertificate } from '../kubernetes/self-managed-certificate.ts'
import type { Clock } from '../registry/ports/clock.ts'
import type { Logger } from '../telemetry/logger.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { makeSelfManaged } from './kubernetes.ts'

interface Foundation {
  readonly config: Config
  readonly log: Logger
  readonly clock: Clock
  readonly onReload: ((changed: Config) => void)[]
  readonly resources: AsyncDisposableStack
  readonly metrics: Metrics
  readonly events: { readonly counts: EventCounts } | undefined
}

/** What the API server asks, and the probes of whoever watches over it. */
export function webhookRoutes(
  verbs: AdmissionVerbs & MutationVerbs,
  readiness: WebhookReadiness,
): Route[] {
  return [...admissionRoutes(verbs), ...mutationRoutes(verbs), ...healthRoutes(readiness)]
}

/** Whether the API server can be answered. */
export class WebhookReadiness {
  #isStopping = false
  #certificate: Pick<SelfManagedCertificate, 'problem'> | undefined

  stop(): void {
    this.#isStopping = true
  }

  watch(certificate: Pick<SelfManagedCertificate, 'problem'>): void {
    this.#certificate = certificate
  }

  get isInSync(): boolean | undefined {
    return this.#certificate && this.#certificate.problem === undefined
  }

  findProblem(): string | undefined {
    return this.#isStopping ? 'shutting down' : this.#certificate?.problem
  }
}

/**
 * @returns undefined where no certificate is configured.
 * @throws StartError when the address cannot be listened on, or outside a cluster.
 */
export async function serveWebhooks(
  foundation: Foundation,
  serve: RequestListener,
  readiness: WebhookReadiness,
): Promise<WebhookListener | undefined> {
  const { config, log, clock, onReload, resources, metrics, events } = foundation
  const { admission } = config
  const { certificate } = admission
  if (certificate === undefined) return undefined
  const listener = new WebhookListener(serve, log, admission.bind)
  metrics.showWebhook({
    certificateNotAfter: () => listener.notAfter,
    isBundleInSync: () => readiness.isInSync,
    events: () => events?.counts ?? {},
  })
  if ('cert' in certificate) {
    await listener.useCertificate({ cert: certificate.cert, key: certificate.key.reveal() })
    onReload.push((changed) => reloadFiles(listener, changed, log))
    return listener
  }
  const use = listener.useCertificate.bind(listener)
  const selfManaged = await makeSelfManaged({ admission, clock, log }, certificate, use)
  readiness.watch(selfManaged)
  resources.use(selfManaged)
  await selfManaged.start()
  return listener
}

function reloadFiles(listener: WebhookListener, { admission }: Config, log: Logger): void {
  const { certificate } = admission
  if (certificate === undefined || !('cert' in certificate)) return
  listener
    .useCertificate({ cert: certificate.cert, key: certificate.key.reveal() })
    .catch((error: unknown) => {
      log.error(
        { err: error },
        'the new certificate of the webhooks cannot be used; the old one stays',
      )
    })
}
