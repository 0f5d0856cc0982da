/**
 * The composition root: makes an App of a Config. Its parts are put together in app/.
 */
import { makeAdmitting } from './app/admitting.ts'
import { startCollection } from './app/collecting.ts'
import { makePullThrough, makeUpstreams, startCache, startUses } from './app/caching.ts'
import { makeContent, makeReadChecks } from './app/content.ts'
import type { Foundation, Reloads } from './app/foundation.ts'
import { makeHashing } from './app/hashing.ts'
import { startScrub } from './app/scrubbing.ts'
import { accessSettings, listen, makeDispatcher } from './app/serving.ts'
import { collectAfterStart } from './app/idling.ts'
import { keepLinks } from './app/links.ts'
import { makeMetrics } from './app/measuring.ts'
import { openStores } from './app/stores.ts'
import { makeTagDigests } from './app/tag-digests.ts'
import { serveWebhooks, WebhookReadiness, webhookRoutes } from './app/webhooks.ts'
import { Authenticator } from './auth/authenticator.ts'
import { loadSigningKey } from './auth/signing-key.ts'
import type { Config } from './config/config.ts'
import { limits } from './config/limits.ts'
import { platformHere } from './config/platform.ts'
import { version } from './config/version.ts'
import type { Listener } from './http/listener.ts'
import { routeTable } from './http/route-table.ts'
import type { WebhookListener } from './http/webhook-listener.ts'
import { Blobs } from './registry/blobs.ts'
import { Health } from './registry/health.ts'
import { Listings } from './registry/listings.ts'
import { Mounts } from './registry/mounts.ts'
import type { Operations } from './registry/operations.ts'
import { makeProxyName } from './registry/proxy-chain.ts'
import { PullCounts } from './registry/pull-counts.ts'
import { Uploads } from './registry/uploads.ts'
import { UpstreamReports } from './registry/upstream-report.ts'
import type { Logger } from './telemetry/logger.ts'

interface Served {
  readonly address: string
  readonly listener: Listener
  readonly health: Health
  readonly operations: Operations
  readonly webhooks: WebhookListener | undefined
}

export class App {
  readonly address: string
  readonly #served: Served
  readonly #onReload: Foundation['onReload']
  /** Closes what was opened, last first. */
  readonly #resources: AsyncDisposableStack

  private constructor(served: Served, foundation: Pick<Foundation, 'onReload' | 'resources'>) {
    this.address = served.address
    this.#served = served
    this.#onReload = foundation.onReload
    this.#resources = foundation.resources
  }

  /** @throws StartError when something outside the program keeps it from starting. */
  static async start(config: Config, log: Logger, reloads: Reloads): Promise<App> {
    await using resources = new AsyncDisposableStack()
    resources.use(collectAfterStart())
    const { stores, root } = await openStores(config, resources)
    const signing = await loadSigningKey(root)
    for (const warning of signing.warnings) log.warn({}, warning)
    const authenticator = new Authenticator(
      { clock: stores.clock, signingKey: signing.key },
      accessSettings(config),
    )
    const counts = new PullCounts({ hostsMax: limits.upstreamsCountedMax })
    const proxyName = makeProxyName()
    const upstreams = resources.use(makeUpstreams(config, log, { proxyName, counts }))
    const onReload: Foundation['onReload'] = []
    const admitting = await makeAdmitting({ config, log, onReload, clock: stores.clock })
    onReload.push(
      (changed) => authenticator.reload(accessSettings(changed)),
      (changed) => upstreams.reload(changed.registryProxies),
    )
    const common = { config, log, reloads, onReload, stores, resources }
    const parts = { authenticator, admitting, upstreams, counts, proxyName }
    const served = await serve({ ...common, ...parts })
    return new App(served, { onReload, resources: resources.move() })
  }

  /** Puts in force what can change while the program runs; whatever can be refused comes first. */
  reload(config: Config): void {
    for (const putInForce of this.#onReload) putInForce(config)
  }

  /** Takes no more requests, lets those in flight end, closes everything. */
  async stop(graceSeconds: number): Promise<void> {
    this.#served.health.stop()
    this.#served.operations.stop()
    await Promise.all([
      this.#served.listener.close(graceSeconds),
      this.#served.webhooks?.close(graceSeconds),
    ])
    await this.#resources.disposeAsync()
  }
}

async function serve(foundation: Foundation): Promise<Served> {
  const { log, stores, authenticator, admitting, upstreams, counts } = foundation
  const { metadata, clock } = stores
  const hashing = makeHashing(foundation)
  const uploads = new Uploads({ ...stores, hashing }, { digestersMax: limits.uploadDigestersMax })
  const leftovers = await uploads.removeLeftovers()
  if (leftovers > 0) log.info({ leftovers }, 'removed what an interrupted run left behind')
  const uses = startUses(foundation)
  const links = keepLinks(foundation)
  const { manifests, images } = makeContent(foundation, uses, links)
  const cache = startCache(foundation, manifests, uses)
  const { collector, operations, promises } = startCollection(foundation, {
    uploads,
    uses,
    manifests,
  })
  const checks = makeReadChecks(foundation)
  const metrics = makeMetrics(foundation, { ...cache, collector })
  const health = new Health(stores, { holdsSeconds: limits.readinessHoldsSeconds })
  const { pullThrough, proxiedListings } = makePullThrough(foundation, {
    ...cache,
    manifests,
    checks,
    hashing,
  })
  const tagDigests = makeTagDigests(foundation, { manifests, pullThrough })
  const verbs = {
    blobs: new Blobs({ ...stores, promises, checks }),
    uploads,
    mounts: new Mounts(stores, { candidatesMax: limits.mountCandidatesMax }),
    manifests,
    images,
    room: cache.room,
    pullThrough,
    proxiedListings,
    pullCounts: counts,
    upstreamReports: new UpstreamReports({ upstreams, counts, clock, platform: platformHere }),
    listings: new Listings(metadata, { referrersBytesMax: limits.referrersPageBytesMax }),
    health,
    operations,
    collector,
    ...startScrub(foundation, operations, links),
    authenticator,
    metrics,
    ...admitting,
    tagDigests,
  }
  const serving = { ...foundation, metrics }
  const { listener, address } = await listen(
    serving,
    makeDispatcher(serving, routeTable(verbs, version)),
  )
  const readiness = new WebhookReadiness()
  const webhooks = await serveWebhooks(
    { ...serving, clock, events: admitting.denials },
    makeDispatcher(serving, webhookRoutes(verbs, readiness)).listener,
    readiness,
  )
  return { address, listener, health, operations, webhooks }
}
