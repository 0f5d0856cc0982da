/** The metrics of `/metrics` (docs/operations.md lists them). No label holds what a client chose. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'
import { type CacheSource, registerCacheMetrics } from './cache-metrics.ts'
import { registerCertificateGauge } from './certificate-metrics.ts'
import { type CollectionSource, registerCollectionMetrics } from './collection-metrics.ts'
import { type ContentSource, registerContentGauges } from './content-metrics.ts'
import { type LoginSource, registerLoginMetrics } from './login-metrics.ts'
import { registerReloadGauges, type ReloadSource } from './reload-metrics.ts'
import { registerStorageMetrics, type StorageSource } from './storage-metrics.ts'
import {
  registerPullCounters,
  registerUpstreamGauges,
  type UpstreamSource,
} from './upstream-metrics.ts'

import { registerWebhookMetrics, type WebhookSource } from './webhook-metrics.ts'

/** What every process shows; the parts that a process has are added to it. */
interface Source extends ReloadSource {
  readonly version: string
}

interface ReviewLabels {
  readonly decision: string
  readonly operation: string
  readonly kind: string
}

export class Metrics {
  readonly #registry = new Registry()
  readonly requests: Counter<'route' | 'method' | 'status'>
  readonly seconds: Histogram<'route' | 'method'>
  readonly received: Counter<'route'>
  readonly sent: Counter<'route'>
  readonly inFlight: Gauge
  readonly #reviews: Counter<'decision' | 'operation' | 'kind'>
  readonly #reviewSeconds: Histogram
  readonly #pullsRefused: Counter<'mode'>
  readonly #mutations: Counter<'outcome'>

  constructor(source: Source) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.requests = new Counter({
      name: 'trow_http_requests_total',
      help: 'Requests answered, by route, method and status; 499 is a client that went away',
      labelNames: ['route', 'method', 'status'],
      registers,
    })
    this.seconds = new Histogram({
      name: 'trow_http_request_duration_seconds',
      help: 'Time from the first byte of a request to the last byte of its answer',
      labelNames: ['route', 'method'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300],
      registers,
    })
    this.received = new Counter({
      name: 'trow_http_received_bytes_total',
      help: 'Bytes of request bodies',
      labelNames: ['route'],
      registers,
    })
    this.sent = new Counter({
      name: 'trow_http_sent_bytes_total',
      help: 'Bytes of response bodies',
      labelNames: ['route'],
      registers,
    })
    this.inFlight = new Gauge({
      name: 'trow_http_requests_in_flight',
      help: 'Requests that are being answered',
      registers,
    })
    new Gauge({
      name: 'trow_build_info',
      help: 'Always 1; the label says which version runs',
      labelNames: ['version'],
      registers,
    }).set({ version: source.version }, 1)
    this.#reviews = new Counter({
      name: 'trow_admission_reviews_total',
      help: 'Admission reviews answered, by decision, operation and kind of object',
      labelNames: ['decision', 'operation', 'kind'],
      registers,
    })
    this.#reviewSeconds = new Histogram({
      name: 'trow_admission_duration_seconds',
      help: 'Time to read and decide on an admission review that has arrived',
      buckets: [0.0001, 0.0005, 0.001, 0.005, 0.02, 0.1, 0.5],
      registers,
    })
    this.#pullsRefused = new Counter({
      name: 'trow_admission_pulls_refused_total',
      help: 'Requests for manifests of images that may not run; only with mode enforce refused',
      labelNames: ['mode'],
      registers,
    })
    this.#mutations = new Counter({
      name: 'trow_admission_mutations_total',
      help: 'Reviews answered by the mutating webhook: changed, unchanged or unreadable',
      labelNames: ['outcome'],
      registers,
    })
    registerReloadGauges(registers, source)
  }

  /** Once at most, as each of these. */
  showContent(source: ContentSource & CacheSource): void {
    registerContentGauges([this.#registry], source)
    registerCacheMetrics([this.#registry], source)
  }

  showUpstreams(source: UpstreamSource): void {
    registerUpstreamGauges([this.#registry], source)
    registerPullCounters([this.#registry], source)
  }

  showStorage(source: StorageSource): void {
    registerStorageMetrics([this.#registry], source)
  }

  showLogins(source: LoginSource): void {
    registerLoginMetrics([this.#registry], source)
  }

  showCollection(source: CollectionSource): void {
    registerCollectionMetrics([this.#registry], source)
  }

  /** Labels have to be words of ours; a caller may have put anything into its review. */
  countReview(labels: ReviewLabels, seconds: number): void {
    this.#reviews.inc({ ...labels })
    this.#reviewSeconds.observe(seconds)
  }

  /** @param notAfter when it ends. */
  showCertificate(notAfter: () => Date): void {
    registerCertificateGauge([this.#registry], notAfter)
  }

  showWebhook(source: WebhookSource): void {
    registerWebhookMetrics([this.#registry], source)
  }

  countMutation(outcome: string): void {
    this.#mutations.inc({ outcome })
  }

  countPullRefused(mode: string): void {
    this.#pullsRefused.inc({ mode })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** In the Prometheus text format. */
  render(): Promise<string> {
    return this.#registry.metrics()
  }
}
