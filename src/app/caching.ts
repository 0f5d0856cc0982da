/**
 * The pull-through cache, put together: the upstreams, the transfers from them, and the bound on what
 * is kept.
 */
import type { Config } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { CacheUses } from '../registry/cache-uses.ts'
import { type CacheRoom, Eviction } from '../registry/eviction.ts'
import { Fills } from '../registry/fills.ts'
import type { Manifests } from '../registry/manifests.ts'
import type { Hashing } from '../registry/ports/hashing.ts'
import { Prefetch } from '../registry/prefetch.ts'
import { ProxiedListings } from '../registry/proxied-listings.ts'
import type { PullCounts } from '../registry/pull-counts.ts'
import { PullThrough, type PullThroughSettings } from '../registry/pull-through.ts'
import { ContentRemoval } from '../registry/remove-content.ts'
import type { ReadChecks } from '../registry/read-checks.ts'
import { StaleCopies } from '../registry/stale-copies.ts'
import { StorageRoom } from '../registry/storage-room.ts'
import type { Logger } from '../telemetry/logger.ts'
import { amazonApi, EcrCredentials } from '../upstream/ecr-credentials.ts'
import { Proxies } from '../upstream/proxies.ts'
import { systemTimer } from '../upstream/timer.ts'
import { Upstreams } from '../upstream/upstreams.ts'
import type { Foundation } from './foundation.ts'

interface Cache {
  readonly uses: CacheUses
  readonly eviction: Eviction
  readonly room: StorageRoom
}

interface PullThroughParts {
  readonly manifests: Manifests
  readonly checks: ReadChecks
  readonly hashing: Hashing
}

/** Which manifests were pulled, cached or not. */
export function startUses({ log, stores, resources }: Foundation): CacheUses {
  return resources.use(
    new CacheUses(
      { ...stores, log },
      {
        flushSeconds: limits.cacheUsesFlushSeconds,
        gatheredMax: limits.cacheUsesGatheredMax,
        perWriteMax: limits.cacheUsesPerWriteMax,
      },
    ),
  )
}

export function makeUpstreams(
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

export function startCache(foundation: Foundation, manifests: Manifests, uses: CacheUses): Cache {
  const { config, log, onReload, stores, resources } = foundation
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
  onReload.push((changed) => eviction.setMaxBytes(changed.registryProxies.maxSizeBytes))
  const room = new StorageRoom(
    { ...stores, evict: (bytes) => eviction.makeRoom(bytes), log },
    {
      stepBytes: limits.storageStepBytes,
      retryAfterSeconds: limits.storageRetryAfterSeconds,
    },
    config.storage,
  )
  onReload.push((changed) => room.reload(changed.storage))
  return { uses, eviction, room }
}

export function makePullThrough(
  foundation: Foundation,
  { uses, eviction, room, manifests, checks, hashing }: Cache & PullThroughParts,
): { pullThrough: PullThrough; proxiedListings: ProxiedListings } {
  const { config, log, onReload, stores, upstreams, resources } = foundation
  const fills = resources.use(
    new Fills(
      { ...stores, room: cacheRoom(eviction, room), hashing, log },
      {
        heldBackBytes: limits.fillHeldBackBytes,
        fruitlessTriesMax: limits.fillFruitlessTriesMax,
        retryDelaySeconds: limits.fillRetryDelaySeconds,
        retryAfterSecondsMax: limits.fillRetryAfterSecondsMax,
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
  const common = { ...stores, checks, upstream: upstreams, manifests, fills, prefetch, staleCopies }
  const parts = { ...common, uses, room: eviction }
  const pullThrough = new PullThrough(parts, pullThroughSettings(config))
  onReload.push((changed) => pullThrough.reload(pullThroughSettings(changed)))
  const proxiedListings = new ProxiedListings(parts, {
    referrersMax: limits.referrersPageEntriesMax,
    referrersBytesMax: limits.referrersPageBytesMax,
  })
  return { pullThrough, proxiedListings }
}

/** The cache keeps to its own bound, and to that of all content. */
function cacheRoom(eviction: Eviction, room: StorageRoom): CacheRoom {
  return {
    reserve: async (blob) =>
      (await room.mayCache(blob.size)) ? eviction.reserve(blob) : undefined,
    use: (digest) => eviction.use(digest),
    add: (bytes) => eviction.add(bytes),
  }
}

function pullThroughSettings({ registryProxies }: Config): PullThroughSettings {
  const { defaultUpstream } = registryProxies
  return {
    ...(defaultUpstream !== undefined && { defaultUpstream }),
    prefetchesLayers: registryProxies.prefetch === 'layers',
    tagTtlSeconds: registryProxies.tagTtlSeconds,
    unknownTtlSeconds: registryProxies.unknownTtlSeconds,
    tagChecks: {
      secondsMax: limits.tagCheckSecondsMax,
      shareBehind: limits.tagCheckShareBehind,
      lateMax: limits.lateTagChecksMax,
    },
    rememberedMax: limits.pullsRememberedMax,
  }
}
