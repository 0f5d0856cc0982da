/**
 * What is said of copies that are served because their upstream could not be asked: to the client each
 * time, to the operator as much as helps. That an upstream fails, whoever watches it says once; that it
 * has begun to refuse a repository to us, nobody else does.
 */
import { LruCache } from '../lib/lru-cache.ts'
import { formatProxiedName } from '../oci/proxied-name.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Pulled } from './cache-status.ts'
import type { UpstreamRepository } from './ports/upstream.ts'
import type { RequestContext } from './request-context.ts'
import { isDefinite, reasonOf } from './upstream-failure.ts'

export class StaleCopies {
  /** Repositories that were refused the last time. */
  readonly #refused: LruCache<RepositoryName, true>

  constructor(settings: { readonly rememberedMax: number }) {
    this.#refused = new LruCache({ entriesMax: settings.rememberedMax })
  }

  /** @param why there is nothing newer. */
  serve(
    { log }: RequestContext,
    target: UpstreamRepository,
    why: unknown,
    reference?: Reference,
  ): Pulled {
    const repository = formatProxiedName(target)
    const reason = reasonOf(why, target.host)
    const fields = { upstream: target.host, repository, reference, reason }
    if (isDefinite(why) && this.#refused.get(repository) === undefined) {
      this.#refused.set(repository, true)
      log.warn(fields, 'the upstream refuses a repository; serving the cached copy')
    } else {
      log.info(fields, 'serving the cached copy')
    }
    return { status: 'STALE', warning: `${reason}; this copy may be out of date` }
  }

  /** The upstream has answered. */
  end(target: UpstreamRepository): void {
    this.#refused.delete(formatProxiedName(target))
  }
}
