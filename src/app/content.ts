/** What is served, put together: manifests and images with the rules for their tags, and blobs. */
import { limits } from '../config/limits.ts'
import type { CacheUses } from '../registry/cache-uses.ts'
import { Images } from '../registry/images.ts'
import type { LinkKeeper } from '../registry/link-keeper.ts'
import { Manifests } from '../registry/manifests.ts'
import { ReadChecks } from '../registry/read-checks.ts'
import type { Foundation } from './foundation.ts'

export function makeContent(
  { config, stores, onReload }: Pick<Foundation, 'config' | 'stores' | 'onReload'>,
  uses: Pick<CacheUses, 'touch' | 'untouch'>,
  links: LinkKeeper,
): { manifests: Manifests; images: Images } {
  const { tagPolicy } = config
  const manifests = new Manifests(
    { ...stores, uses, links },
    {
      referencesMax: limits.manifestReferencesMax,
      cacheEntriesMax: limits.manifestCacheEntriesMax,
      cacheBytesMax: limits.manifestCacheBytesMax,
      tagPolicy,
    },
  )
  const images = new Images(
    { metadata: stores.metadata, manifests, links },
    {
      rowsPerDeletion: limits.repositoryRowsPerDeletion,
      tagsPerPage: limits.pageEntriesDefault,
      tagPolicy,
    },
  )
  onReload.push((changed) => {
    manifests.setTagPolicy(changed.tagPolicy)
    images.setTagPolicy(changed.tagPolicy)
  })
  return { manifests, images }
}

export function makeReadChecks({
  config,
  log,
  stores,
  onReload,
  resources,
}: Foundation): ReadChecks {
  const checks = new ReadChecks(
    { ...stores, log },
    {
      rememberedMax: limits.readChecksRememberedMax,
      rememberedSeconds: limits.readChecksRememberedSeconds,
    },
    config.storage.verifiesReads,
  )
  onReload.push((changed) => checks.reload(changed.storage.verifiesReads))
  return resources.use(checks)
}
