/**
 * `/api/repositories/<repository>`: deleting more than one manifest at a time, for `trow rm` and for
 * programs. `DELETE` with `?tag=` or `?digest=` is about an image with all that is only there because of
 * it, without them about the whole repository; `?dry-run` says what would go.
 */
import { limits } from '../../config/limits.ts'
import { parseDigest } from '../../oci/digest.ts'
import { OciError } from '../../oci/errors.ts'
import type { Reference } from '../../oci/reference.ts'
import { parseTag } from '../../oci/tag.ts'
import type { Images } from '../../registry/images.ts'
import type { Exchange, Route } from '../exchange.ts'
import { readSwitch } from '../query-switch.ts'
import type { Reply } from '../reply.ts'
import { localRepositoryOf } from './pull-target.ts'

export function repositoryRoutes(images: Images): Route[] {
  return [
    {
      name: 'repository',
      pattern: '/api/repositories/:repository',
      endpoints: {
        DELETE: { access: 'delete', handle: (exchange) => deleteContent(images, exchange) },
      },
    },
  ]
}

async function deleteContent(images: Images, exchange: Exchange): Promise<Reply> {
  const repository = localRepositoryOf(exchange)
  const { context, query } = exchange
  const options = { dryRun: readSwitch(query, 'dry-run') }
  const reference = referenceOf(query)
  const deleted =
    reference === undefined
      ? await images.deleteRepository(context, repository, options)
      : await images.deleteImage(context, repository, reference, options)
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify(shortened(deleted)),
  }
}

/** @throws OciError UNSUPPORTED (400): of a misspelled parameter the whole repository must not go. */
function referenceOf(query: URLSearchParams): Reference | undefined {
  const named = [...query.keys()].filter((name) => name !== 'dry-run' && name !== 'ns')
  const [name, ...more] = named
  if (name === undefined) return undefined
  const value = query.get(name) ?? ''
  if (more.length === 0 && name === 'tag') return parseTag(value)
  if (more.length === 0 && name === 'digest') return parseDigest(value)
  throw new OciError('UNSUPPORTED', {
    status: 400,
    message: 'the parameters are tag or digest, one of them, and dry-run',
  })
}

/** An index may have thousands of children. */
function shortened<T extends { readonly manifests: readonly string[] | number }>(deleted: T) {
  const { manifests } = deleted
  if (typeof manifests === 'number') return deleted
  return { ...deleted, manifests: manifests.slice(0, limits.pageEntriesMax) }
}
