/** Every address that this server answers, in the order they are tried: literal before parameter. */
import type { Authenticator } from '../auth/authenticator.ts'
import type { Blobs } from '../registry/blobs.ts'
import type { Collector } from '../registry/collector.ts'
import type { Health } from '../registry/health.ts'
import type { Images } from '../registry/images.ts'
import type { Listings } from '../registry/listings.ts'
import type { Manifests } from '../registry/manifests.ts'
import type { Mounts } from '../registry/mounts.ts'
import type { Operations } from '../registry/operations.ts'
import type { ProxiedListings } from '../registry/proxied-listings.ts'
import type { PullCounts } from '../registry/pull-counts.ts'
import type { PullThrough } from '../registry/pull-through.ts'
import type { StorageRoom } from '../registry/storage-room.ts'
import type { Uploads } from '../registry/uploads.ts'
import type { Scrub } from '../registry/scrub.ts'
import type { UpstreamReports } from '../registry/upstream-report.ts'
import type { Route } from './exchange.ts'
import { type AdmissionVerbs, admissionRoutes } from './routes/admission.ts'
import { baseRoutes } from './routes/base.ts'
import { blobRoutes } from './routes/blobs.ts'
import { healthRoutes } from './routes/health.ts'
import { listingRoutes } from './routes/listings.ts'
import { manifestRoutes } from './routes/manifests.ts'
import { metricsRoutes } from './routes/metrics.ts'
import { operationRoutes } from './routes/operations.ts'
import { mutationRoutes, type MutationVerbs } from './routes/mutation.ts'
import { repositoryRoutes } from './routes/repositories.ts'
import { tokenRoutes } from './routes/token.ts'
import { uploadRoutes } from './routes/uploads.ts'
import { upstreamRoutes } from './routes/upstreams.ts'

export interface Verbs extends AdmissionVerbs, MutationVerbs {
  readonly blobs: Blobs
  readonly uploads: Uploads
  readonly mounts: Mounts
  readonly manifests: Manifests
  readonly images: Images
  readonly room: StorageRoom
  readonly listings: Listings
  readonly pullThrough: PullThrough
  readonly proxiedListings: ProxiedListings
  readonly pullCounts: PullCounts
  readonly upstreamReports: UpstreamReports
  readonly health: Health
  readonly operations: Operations
  readonly collector: Collector
  readonly scrub: Scrub
  readonly scrubRate: () => number
  readonly authenticator: Authenticator
}

export function routeTable(verbs: Verbs, version: string): Route[] {
  return [
    ...baseRoutes(verbs.authenticator, version),
    ...healthRoutes(verbs.health),
    ...metricsRoutes(verbs.metrics),
    ...tokenRoutes(verbs.authenticator),
    ...admissionRoutes(verbs),
    ...mutationRoutes(verbs),
    ...uploadRoutes(verbs),
    ...manifestRoutes(verbs),
    ...blobRoutes(verbs),
    ...listingRoutes(verbs),
    ...upstreamRoutes(verbs.upstreamReports),
    ...operationRoutes(verbs),
    ...repositoryRoutes(verbs.images),
  ]
}
