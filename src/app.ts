/**
 * The composition root: makes an App of a Config. The only file that names concrete drivers.
 */
import type { AccessSettings } from './auth/access.ts'
import { Authenticator } from './auth/authenticator.ts'
import { loadSigningKey } from './auth/signing-key.ts'
import { toBlockList } from './config/address-range.ts'
import type { Config } from './config/config.ts'
import { limits } from './config/limits.ts'
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
import { Fills } from './registry/fills.ts'
import { Health } from './registry/health.ts'
import { Listings } from './registry/listings.ts'
import { Manifests } from './registry/manifests.ts'
import { Mounts } from './registry/mounts.ts'
import type { BlobStore, Clock, MetadataStore, UploadStore } from './registry/ports.ts'
import { PullThrough, type PullThroughSettings } from './registry/pull-through.ts'
import { UploadExpiry } from './registry/upload-expiry.ts'
import { Uploads } from './registry/uploads.ts'
import { FilesystemBlobStore } from './storage/filesystem/blob-store.ts'
import { DataDirectory } from './storage/filesystem/data-directory.ts'
import { ReadBuffers } from './storage/filesystem/read-buffers.ts'
import { FilesystemUploadStore } from './storage/filesystem/upload-store.ts'
import type { Logger } from './telemetry/logger.ts'
import { Metrics } from './telemetry/metrics.ts'
import { systemTimer } from './upstream/timer.ts'
import { Upstreams } from './upstream/upstreams.ts'

interface Stores {
  readonly metadata: MetadataStore
  readonly blobs: BlobStore
  readonly uploads: UploadStore
  readonly clock: Clock
}

interface Parts {
  readonly address: string
  readonly listener: Listener
  readonly dispatcher: Dispatcher
  readonly authenticator: Authenticator
  readonly upstreams: Upstreams
  readonly pullThrough: PullThrough
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
      clock,
    }
    const signing = await loadSigningKey(layout.root)
    for (const warning of signing.warnings) log.warn({}, warning)
    const authenticator = new Authenticator(
      { clock, signingKey: signing.key },
      accessSettings(config),
    )
    const upstreams = resources.use(
      new Upstreams(config.registryProxies, { timer: systemTimer, log }),
    )
    const foundation = { config, log, reloads, stores, authenticator, upstreams, resources }
    const served = await serve(foundation)
    return new App({ ...served, authenticator, upstreams, resources: resources.move() })
  }

  /** Puts in force what can change while the program runs. */
  reload(config: Config): void {
    const { listener, dispatcher, authenticator, upstreams, pullThrough, expiry } = this.#parts
    if (config.tls !== undefined) {
      listener.setCertificate({ cert: config.tls.cert, key: config.tls.key.reveal() })
    }
    dispatcher.reload(dispatcherSettings(config))
    authenticator.reload(accessSettings(config))
    upstreams.reload(config.registryProxies)
    pullThrough.reload(pullThroughSettings(config))
    expiry.setIdleSeconds(config.uploadIdleSeconds)
  }

  /** Takes no more requests, lets those in flight end, closes everything. */
  async stop(graceSeconds: number): Promise<void> {
    this.#parts.health.stop()
    await this.#parts.listener.close(graceSeconds)
    await this.#parts.resources.disposeAsync()
  }
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
  /** Closes what is opened on the way. */
  readonly resources: AsyncDisposableStack
}

async function serve(
  foundation: Foundation,
): Promise<Omit<Parts, 'authenticator' | 'upstreams' | 'resources'>> {
  const { config, log, reloads, stores, authenticator, resources } = foundation
  const { metadata, clock } = stores
  const uploads = new Uploads(stores, { digestersMax: limits.uploadDigestersMax })
  const leftovers = await uploads.removeLeftovers()
  if (leftovers > 0) log.info({ leftovers }, 'removed what an interrupted run left behind')
  const metrics = new Metrics({
    version,
    countContent: () => metadata.countContent(),
    countHoldsSeconds: limits.contentCountHoldsSeconds,
    lastReload: () => reloads.lastReload,
    upstreamStates: () => foundation.upstreams.states(),
    upstreamLabelsMax: limits.upstreamLabelsMax,
  })
  const health = new Health(stores, { holdsSeconds: limits.readinessHoldsSeconds })
  const manifests = new Manifests(stores, {
    referencesMax: limits.manifestReferencesMax,
    cacheEntriesMax: limits.manifestCacheEntriesMax,
    cacheBytesMax: limits.manifestCacheBytesMax,
  })
  const pullThrough = makePullThrough(foundation, manifests)
  const verbs = {
    blobs: new Blobs(stores),
    uploads,
    mounts: new Mounts(stores, { candidatesMax: limits.mountCandidatesMax }),
    manifests,
    pullThrough,
    listings: new Listings(metadata, { referrersBytesMax: limits.referrersPageBytesMax }),
    health,
    authenticator,
    metrics,
  }
  const router = new Router(routeTable(verbs, version))
  const dispatcher = new Dispatcher(
    { router, authenticator, metrics, log },
    dispatcherSettings(config),
  )
  const { listener, address } = await listen(config, dispatcher, log)
  const expiry = new UploadExpiry({ uploads, clock, log }, config.uploadIdleSeconds, {
    intervalSeconds: limits.uploadExpiryIntervalSeconds,
    perRunMax: limits.uploadsExpiredPerRunMax,
  })
  resources.use(expiry)
  return { address, listener, dispatcher, pullThrough, health, expiry }
}

function makePullThrough(foundation: Foundation, manifests: Manifests): PullThrough {
  const { config, log, stores, upstreams, resources } = foundation
  const fills = resources.use(
    new Fills(
      { ...stores, log },
      {
        heldBackBytes: limits.fillHeldBackBytes,
        fruitlessTriesMax: limits.fillFruitlessTriesMax,
        retryDelaySeconds: limits.fillRetryDelaySeconds,
      },
    ),
  )
  const parts = { ...stores, upstream: upstreams, manifests, fills }
  return new PullThrough(parts, pullThroughSettings(config))
}

function pullThroughSettings({ registryProxies }: Config): PullThroughSettings {
  return {
    tagTtlSeconds: registryProxies.tagTtlSeconds,
    unknownTtlSeconds: registryProxies.unknownTtlSeconds,
    checkSecondsMax: limits.tagCheckSecondsMax,
    rememberedMax: limits.pullsRememberedMax,
    referrersMax: limits.referrersPageEntriesMax,
    referrersBytesMax: limits.referrersPageBytesMax,
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
