/**
 * Where everything lies in a data directory (docs/storage-layout.md tells it for operators):
 *
 *     format.json                        version of this layout
 *     lock, owner.json                   the one process that owns the directory, and who it is
 *     metadata.db                        SQLite: repositories, tags, manifests, sessions
 *     token.key                          signing key of login tokens, mode 0600
 *     blobs/<algorithm>/<2 hex>/<hex>    verified content, manifests included
 *     quarantine/<algorithm>-<hex>       what was found not to be the content of its name
 *     links.log                          all manifests and tags, for when the database is lost
 *     incomplete.json                    while a restore or a rebuild of the database is under way
 *     uploads/<id>                       staged bytes, nothing here was verified
 */
import { join } from 'node:path'
import { type Digest, digestAlgorithm, digestAlgorithms, digestHex } from '../../oci/digest.ts'
import type { UploadId } from '../../registry/ports/upload-store.ts'

/** What the hex of a digest begins with: each has a directory, so that none grows too large. */
export const shards = Array.from({ length: 256 }, (_, index) => index.toString(16).padStart(2, '0'))

export class DataLayout {
  readonly root: string
  readonly format: string
  readonly lock: string
  readonly owner: string
  readonly database: string
  readonly blobs: string
  readonly uploads: string
  readonly quarantine: string
  readonly links: string
  readonly incomplete: string

  constructor(root: string) {
    this.root = root
    this.format = join(root, 'format.json')
    this.lock = join(root, 'lock')
    this.owner = join(root, 'owner.json')
    this.database = join(root, 'metadata.db')
    this.blobs = join(root, 'blobs')
    this.uploads = join(root, 'uploads')
    this.quarantine = join(root, 'quarantine')
    this.links = join(root, 'links.log')
    this.incomplete = join(root, 'incomplete.json')
  }

  /** Not by `join`: asked for each shard at a start, that alone has V8 load its largest compiler. */
  blob(digest: Digest): string {
    const hex = digestHex(digest)
    return `${this.blobs}/${digestAlgorithm(digest)}/${hex.slice(0, 2)}/${hex}`
  }

  quarantined(digest: Digest): string {
    return `${this.quarantine}/${digest.replace(':', '-')}`
  }

  upload(id: UploadId): string {
    return `${this.uploads}/${id}`
  }

  /** All directories that content is put into: made once, so that no write has to make one. */
  directories(): string[] {
    return [
      this.uploads,
      this.quarantine,
      this.blobs,
      ...digestAlgorithms.flatMap((algorithm) => {
        const parent = `${this.blobs}/${algorithm}`
        return [parent, ...shards.map((shard) => `${parent}/${shard}`)]
      }),
    ]
  }
}
