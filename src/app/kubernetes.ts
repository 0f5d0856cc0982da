/** What Trow does in the cluster that it runs in: certificates for its webhooks, and Events. */
import type { AdmissionServing, SelfManagedTls } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { AuthoritySecret } from '../kubernetes/authority-secret.ts'
import type { Leaf } from '../kubernetes/authority.ts'
import { CaBundle } from '../kubernetes/ca-bundle.ts'
import { DenialEvents } from '../kubernetes/denial-events.ts'
import { KubernetesApi } from '../kubernetes/kubernetes-api.ts'
import { SelfManagedCertificate } from '../kubernetes/self-managed-certificate.ts'
import { StartError } from '../lib/start-error.ts'
import type { Clock } from '../registry/ports/clock.ts'
import type { Logger } from '../telemetry/logger.ts'

interface Parts {
  readonly admission: AdmissionServing
  readonly clock: Clock
  readonly log: Logger
}

/** @returns undefined where nobody wants to be told. @throws StartError outside a cluster. */
export function makeDenialEvents(parts: Parts): DenialEvents | undefined {
  if (!parts.admission.events) return undefined
  const api = makeApi(parts.admission, 'admission.events')
  return new DenialEvents(
    { ...parts, api },
    {
      repeatSeconds: limits.eventRepeatSeconds,
      rememberedMax: limits.eventsRememberedMax,
      perMinuteMax: limits.eventsPerMinuteMax,
      atOnceMax: limits.eventsAtOnceMax,
    },
  )
}

/** @throws StartError outside a cluster. */
export async function makeSelfManaged(
  parts: Parts,
  settings: SelfManagedTls,
  use: (leaf: Leaf) => Promise<void>,
): Promise<SelfManagedCertificate> {
  const api = makeApi(parts.admission, 'admission.self_managed')
  const namespace = settings.namespace ?? (await ownNamespace(api, parts.admission))
  const secret = new AuthoritySecret(
    api,
    { namespace, name: settings.secret },
    { lifetimeSeconds: limits.authorityLifetimeSeconds, attemptsMax: limits.authorityWritesMax },
  )
  const { validatingWebhook: validating, mutatingWebhook: mutating } = settings
  const bundles = [
    ...(validating === undefined ? [] : [new CaBundle(api, 'validating', validating)]),
    ...(mutating === undefined ? [] : [new CaBundle(api, 'mutating', mutating)]),
  ]
  return new SelfManagedCertificate(
    { ...parts, secret, bundles, use },
    {
      dnsNames: settings.dnsNames,
      leafSeconds: limits.webhookCertificateSeconds,
      checkIntervalSeconds: settings.checkIntervalSeconds,
    },
  )
}

function makeApi({ serviceAccountDir }: AdmissionServing, key: string): KubernetesApi {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
  if (!host || !port) {
    throw new StartError(
      `${key} needs the Kubernetes API, and this is no pod: KUBERNETES_SERVICE_HOST and ` +
        'KUBERNETES_SERVICE_PORT are not set',
    )
  }
  return new KubernetesApi({
    host,
    port: Number(port),
    directory: serviceAccountDir,
    secondsMax: limits.kubernetesSecondsMax,
    answerBytesMax: limits.kubernetesAnswerBytesMax,
  })
}

async function ownNamespace(
  api: KubernetesApi,
  { serviceAccountDir }: AdmissionServing,
): Promise<string> {
  try {
    return await api.ownNamespace()
  } catch (cause) {
    throw new StartError(
      `admission.self_managed needs a namespace: ${(cause as Error).message}; mount the token of the ` +
        `service account at ${serviceAccountDir}, or set admission.self_managed.namespace`,
      { cause },
    )
  }
}
