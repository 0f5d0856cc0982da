/** Manifests and images, put together, with the rules for their tags. */
import { limits } from '../config/limits.ts'
import type { CacheUses } from '../registry/cache-uses.ts'
import { Images } from '../registry/images.ts'
import type { LinkKeeper } from '../registry/link-keeper.ts'
import { Manifests } from '../registry/manifests.ts'
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
    { metadata: stores.metadata, manifests },
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
