/**
 * Names of images as clients write them into archives, `[host/]repository[:tag]`: here an image goes by
 * its repository alone, as nobody wants the old host in it, nor a `library/` that he did not write.
 */
import { isRepositoryName, type RepositoryName } from '../oci/repository-name.ts'
import { isTag, type Tag } from '../oci/tag.ts'

/** @returns undefined for what is no name of an image. */
export function parseNameOf(text: string): { repository: RepositoryName; tag?: Tag } | undefined {
  const [name = ''] = text.split('@')
  const [, path = '', tag] = /^(.*?)(?::([^/:]*))?$/.exec(name) ?? []
  const slash = path.indexOf('/')
  const isHost = slash > 0 && /[.:]|^localhost$/.test(path.slice(0, slash))
  const repository = isHost ? path.slice(slash + 1) : path
  if (!isRepositoryName(repository)) return undefined
  if (tag === undefined) return { repository }
  return isTag(tag) ? { repository, tag } : undefined
}
