/** Metrics of the listener for webhooks: its certificate, who believes it, and the Events it makes. */
import { Counter, Gauge, type Registry } from '@prometheus-io/client'

export interface WebhookSource {
  /** When the certificate that is served ends; undefined before there is one. */
  readonly certificateNotAfter: () => Date | undefined
  /** Whether the API server believes it; undefined where somebody else sees to that. */
  readonly isBundleInSync: () => boolean | undefined
  readonly events: () => Readonly<Record<string, number>>
}

export function registerWebhookMetrics(registers: Registry[], source: WebhookSource): void {
  const notAfter: Gauge = new Gauge({
    name: 'trow_webhook_certificate_not_after_timestamp_seconds',
    help: 'When the certificate of the webhooks ends',
    registers,
    collect: () => {
      const date = source.certificateNotAfter()
      if (date !== undefined) notAfter.set(date.getTime() / 1000)
    },
  })
  const inSync: Gauge = new Gauge({
    name: 'trow_webhook_ca_bundle_in_sync',
    help: 'Whether the webhook configurations have the authority that Trow made; 0 calls for a look',
    registers,
    collect: () => {
      const isInSync = source.isBundleInSync()
      if (isInSync !== undefined) inSync.set(isInSync ? 1 : 0)
    },
  })
  const events: Counter<'result'> = new Counter({
    name: 'trow_admission_events_total',
    help: 'Events for refused images, by what became of them: sent, failed or dropped',
    labelNames: ['result'],
    registers,
    collect: () => {
      events.reset()
      for (const [result, count] of Object.entries(source.events())) events.inc({ result }, count)
    },
  })
}
