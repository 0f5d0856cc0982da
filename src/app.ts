/**
 * The composition root: makes an App of a Config. The only file that names concrete drivers.
 */
import { Admission } from './admission/admission.ts'
import type { AccessSettings } from './auth/access.ts'
import { Authenticator } from './auth/authenticator.ts'
import { loadSigningKey } from './auth/signing-key.ts'
import { toBlockList } from './config/address-range.ts'
import type { Config } from './config/config.ts'
import { makePolicy } from './config/image-policy.ts'
import { limits } from './config/limits.ts'
import { platformHere } from './config/platform.ts'
import { version } from './config/version.ts'
import type { LastReload } from './config/watch.ts'
import { Cors } from './http/cors.ts'
import { Dispatcher, type DispatcherSettings } from './http/dispatcher.ts'
import { Listener } from './http/listener.ts'
import { routeTable } from './http/route-table.ts'
import { Router } from './http/router.ts'
import { openSqlite } from './metadata/sqlite.ts'
import { SqlMetadataStore } from './metadata/sql-metadata-store.ts'
import { Blobs } from './registry/blobs.ts'
import { CacheUses } from './registry/cache-uses.ts'
import { ContentLocks } from './registry/content-locks.ts'
import { Eviction } from './registry/eviction.ts'
import { Fills } from './registry/fills.ts'
import { Health } from './registry/health.ts'
import { Listings } from './registry/listings.ts'
import { Manifests } from './registry/manifests.ts'
import { Mounts } from './registry/mounts.ts'
import type { BlobStore, Clock, MetadataStore, UploadStore } from './registry/ports.ts'
import { makeProxyName } from './registry/proxy-chain.ts'
import { Prefetch } from './registry/prefetch.ts'
import { ProxiedListings } from './registry/proxied-listings.ts'
import { PullCounts } from './registry/pull-counts.ts'
import { PullThrough, type PullThroughSettings } from './registry/pull-through.ts'
import { ContentRemoval } from './registry/remove-content.ts'
import { StaleCopies } from './registry/stale-copies.ts'
import { UploadExpiry } from './registry/upload-expiry.ts'
import { Uploads } from './registry/uploads.ts'
import { UpstreamReports } from './registry/upstream-report.ts'
import { FilesystemBlobStore } from './storage/filesystem/blob-store.ts'
import { DataDirectory } from './storage/filesystem/data-directory.ts'
import { ReadBuffers } from './storage/filesystem/read-buffers.ts'
import { FilesystemUploadStore } from './storage/filesystem/upload-store.ts'
import type { Logger } from './telemetry/logger.ts'
import { Metrics } from './telemetry/metrics.ts'
import { amazonApi, EcrCredentials } from './upstream/ecr-credentials.ts'
import { Proxies } from './upstream/proxies.ts'
import { systemTimer } from './upstream/timer.ts'
import { Upstreams } from './upstream/upstreams.ts'

interface Stores {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly uploads: UploadStore
  readonly locks: ContentLocks
  readonly clock: Clock
}

interface Parts {
  readonly address: string
  readonly listener: Listener
  readonly dispatcher: Dispatcher
  readonly authenticator: Authenticator
  readonly upstreams: Upstreams
  readonly pullThrough: PullThrough
  readonly eviction: Eviction
  readonly admission: Admission
  readonly health: Health
  readonly expiry: UploadExpiry
  /** Closes what was opened, last first. */
  readonly resources: AsyncDisposableStack
}

export class App {
  readonly address: string
  readonly #parts: Parts

  private constructor(parts: Parts) {
    this.address = parts.address
    this.#parts = parts
  }

  /** @throws StartError when something outside the program keeps it from starting. */
  static async start(config: Config, log: Logger, reloads: Reloads): Promise<App> {
    await using resources = new AsyncDisposableStack()
    const directory = resources.use(await DataDirectory.open(config.dataDir))
    const { layout } = directory
    const databases = resources.use(await openSqlite(layout.database))
    const clock: Clock = { now: () => Date.now() }
    const buffers = new ReadBuffers({
      bytes: limits.readBufferBytes,
      pooledMax: limits.readBuffersPooledMax,
      takenBytesMax: limits.readBuffersBytesMax,
      bytesBeyond: limits.readBufferBeyondBytes,
    })
    const stores: Stores = {
      metadata: new SqlMetadataStore(databases, clock),
      blobs: new FilesystemBlobStore(layout, buffers),
      uploads: new FilesystemUploadStore(layout, buffers, {
        writeBytes: limits.uploadWriteBytes,
        gatheredBytesMax: limits.uploadGatheredBytesMax,
      }),
      locks: new ContentLocks(),
      clock,
    }
    const signing = await loadSigningKey(layout.root)
    for (const warning of signing.warnings) log.warn({}, warning)
    const authenticator = new Authenticator(
      { clock, signingKey: signing.key },
      accessSettings(config),
    )
    const proxyName = makeProxyName()
    const counts = new PullCounts({ hostsMax: limits.upstreamsCountedMax })
    const upstreams = resources.use(makeUpstreams(config, log, { proxyName, counts }))
    const foundation = {
      config,
      log,
      reloads,
      stores,
      authenticator,
      upstreams,
      counts,
      proxyName,
      resources,
    }
    const served = await serve(foundation)
    return new App({ ...served, authenticator, upstreams, resources: resources.move() })
  }

  /** Puts in force what can change while the program runs. */
  reload(config: Config): void {
    const { listener, dispatcher, authenticator, upstreams, pullThrough, expiry } = this.#parts
    const { eviction } = this.#parts
    const policy = makePolicy(config)
    if (config.tls !== undefined) {
      listener.setCertificate({ cert: config.tls.cert, key: config.tls.key.reveal() })
    }
    dispatcher.reload(dispatcherSettings(config))
    authenticator.reload(accessSettings(config))
    upstreams.reload(config.registryProxies)
    pullThrough.reload(pullThroughSettings(config))
    eviction.setMaxBytes(config.registryProxies.maxSizeBytes)
    this.#parts.admission.reload(policy)
    expiry.setIdleSeconds(config.uploadIdleSeconds)
  }

  /** Takes no more requests, lets those in flight end, closes everything. */
  async stop(graceSeconds: number): Promise<void> {
    this.#parts.health.stop()
    await this.#parts.listener.close(graceSeconds)
    await this.#parts.resources.disposeAsync()
  }
}

function makeUpstreams(
  config: Config,
  log: Logger,
  parts: { readonly proxyName: string; readonly counts: PullCounts },
): Upstreams {
  const proxies = new Proxies(process.env)
  const shown = proxies.describe()
  if (shown !== undefined) log.info(shown, 'other registries are asked through a proxy')
  const timer = systemTimer
  const ecr = new EcrCredentials(amazonApi({ environment: process.env, proxies }), timer, log)
  return new Upstreams(config.registryProxies, { ...parts, timer, log, proxies, ecr })
}

/** Whoever reloads the configuration says how it went. */
interface Reloads {
  readonly lastReload: LastReload
}

interface Foundation {
  readonly config: Config
  readonly log: Logger
  readonly reloads: Reloads
  readonly stores: Stores
  readonly authenticator: Authenticator
  readonly upstreams: Upstreams
  readonly proxyName: string
  readonly counts: PullCounts
  /** Closes what is opened on the way. */
  readonly resources: AsyncDisposableStack
}

async function serve(
  foundation: Foundation,
): Promise<Omit<Parts, 'authenticator' | 'upstreams' | 'resources'>> {
  const { config, log, reloads, stores, authenticator, upstreams, counts, resources } = foundation
  const { metadata, clock } = stores
  const uploads = new Uploads(stores, { digestersMax: limits.uploadDigestersMax })
  const leftovers = await uploads.removeLeftovers()
  if (leftovers > 0) log.info({ leftovers }, 'removed what an interrupted run left behind')
  const manifests = new Manifests(stores, {
    referencesMax: limits.manifestReferencesMax,
    cacheEntriesMax: limits.manifestCacheEntriesMax,
    cacheBytesMax: limits.manifestCacheBytesMax,
  })
  const cache = startCache(foundation, manifests)
  const { eviction } = cache
  const metrics = new Metrics({
    version,
    countContent: () => metadata.countContent(),
    countHoldsSeconds: limits.contentCountHoldsSeconds,
    lastReload: () => reloads.lastReload,
    upstreamStates: () =>
      upstreams.states().map((state) => ({ ...state, host: counts.labelOf(state.host) })),
    upstreamCounts: () => counts.all,
    measureCache: () => metadata.measureCache(),
    cacheMaxBytes: () => eviction.maxBytes,
    evicted: () => eviction.totals,
  })
  const health = new Health(stores, { holdsSeconds: limits.readinessHoldsSeconds })
  const { pullThrough, proxiedListings } = makePullThrough(foundation, manifests, cache)
  const admission = new Admission(makePolicy(config), {
    imagesMax: limits.reviewImagesMax,
    groupsMax: limits.reviewGroupsMax,
  })
  const verbs = {
    blobs: new Blobs(stores),
    uploads,
    mounts: new Mounts(stores, { candidatesMax: limits.mountCandidatesMax }),
    manifests,
    pullThrough,
    proxiedListings,
    admission,
    pullCounts: counts,
    upstreamReports: new UpstreamReports({ upstreams, counts, clock, platform: platformHere }),
    listings: new Listings(metadata, { referrersBytesMax: limits.referrersPageBytesMax }),
    health,
    authenticator,
    metrics,
  }
  const router = new Router(routeTable(verbs, version))
  const dispatcher = new Dispatcher(
    { router, authenticator, metrics, log, proxyName: foundation.proxyName },
    dispatcherSettings(config),
  )
  const { listener, address } = await listen(config, dispatcher, log)
  const expiry = new UploadExpiry({ uploads, clock, log }, config.uploadIdleSeconds, {
    intervalSeconds: limits.uploadExpiryIntervalSeconds,
    perRunMax: limits.uploadsExpiredPerRunMax,
  })
  resources.use(expiry)
  return { address, listener, dispatcher, pullThrough, eviction, admission, health, expiry }
}

interface Cache {
  readonly uses: CacheUses
  readonly eviction: Eviction
}

function startCache(foundation: Foundation, manifests: Manifests): Cache {
  const { config, log, stores, resources } = foundation
  const uses = new CacheUses(
    { ...stores, log },
    {
      flushSeconds: limits.cacheUsesFlushSeconds,
      gatheredMax: limits.cacheUsesGatheredMax,
      perWriteMax: limits.cacheUsesPerWriteMax,
    },
  )
  resources.use(uses)
  const removal = new ContentRemoval(stores, { atOnceMax: limits.contentRemovedAtOnceMax })
  const eviction = new Eviction(
    { ...stores, removal, uses, manifests, log },
    {
      highWatermark: limits.cacheHighWatermark,
      lowWatermark: limits.cacheLowWatermark,
      perStepMax: limits.cacheEvictedPerStepMax,
      retrySeconds: limits.cacheEvictionRetrySeconds,
      measurementHoldsSeconds: limits.cacheMeasurementHoldsSeconds,
    },
  )
  resources.use(eviction)
  eviction.setMaxBytes(config.registryProxies.maxSizeBytes)
  return { uses, eviction }
}

function makePullThrough(
  foundation: Foundation,
  manifests: Manifests,
  { uses, eviction }: Cache,
): { pullThrough: PullThrough; proxiedListings: ProxiedListings } {
  const { config, log, stores, upstreams, resources } = foundation
  const fills = resources.use(
    new Fills(
      { ...stores, room: eviction, log },
      {
        heldBackBytes: limits.fillHeldBackBytes,
        fruitlessTriesMax: limits.fillFruitlessTriesMax,
        retryDelaySeconds: limits.fillRetryDelaySeconds,
        tooLargeRememberedMax: limits.tooLargeBlobsRememberedMax,
      },
    ),
  )
  const prefetch = resources.use(
    new Prefetch(
      { log },
      { transfersMax: limits.prefetchTransfersMax, waitingMax: limits.prefetchWaitingMax },
    ),
  )
  const staleCopies = new StaleCopies({ rememberedMax: limits.pullsRememberedMax })
  const common = { ...stores, upstream: upstreams, manifests, fills, prefetch, staleCopies }
  const parts = { ...common, uses, room: eviction }
  return {
    pullThrough: new PullThrough(parts, pullThroughSettings(config)),
    proxiedListings: new ProxiedListings(parts, {
      referrersMax: limits.referrersPageEntriesMax,
      referrersBytesMax: limits.referrersPageBytesMax,
    }),
  }
}

function pullThroughSettings({ registryProxies }: Config): PullThroughSettings {
  const { defaultUpstream } = registryProxies
  return {
    ...(defaultUpstream !== undefined && { defaultUpstream }),
    prefetchesLayers: registryProxies.prefetch === 'layers',
    tagTtlSeconds: registryProxies.tagTtlSeconds,
    unknownTtlSeconds: registryProxies.unknownTtlSeconds,
    checkSecondsMax: limits.tagCheckSecondsMax,
    rememberedMax: limits.pullsRememberedMax,
  }
}

async function listen(
  config: Config,
  dispatcher: Dispatcher,
  log: Logger,
): Promise<{ listener: Listener; address: string }> {
  const { tls } = config
  const listener = new Listener(
    (request, response, awaitsContinue) =>
      void dispatcher.dispatch(request, response, awaitsContinue),
    log,
    tls && { cert: tls.cert, key: tls.key.reveal() },
  )
  return { listener, address: await listener.listen(config.bind) }
}

function dispatcherSettings(config: Config): DispatcherSettings {
  return {
    hostnames: config.hostnames,
    trustedProxies: toBlockList(config.trustedProxies),
    cors: new Cors(config.cors),
  }
}

function accessSettings({ auth }: Config): AccessSettings {
  return {
    anonymousPull: auth.anonymousPull,
    ...(auth.user && {
      user: { name: auth.user.name, password: auth.user.password.reveal() },
    }),
  }
}
