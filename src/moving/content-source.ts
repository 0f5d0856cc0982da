/**
 * Content on its way from one place to another: where it comes from, and where it goes. Whatever a
 * source gives is checked against its digest by `ImageMover` before a destination keeps it.
 */
import type { Descriptor } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import type { Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import { printable } from '../oci/upstream-error.ts'

/** Something cannot be moved; other things may. The message names it, as far as it can be shown. */
export class MoveError extends Error {
  override readonly name = 'MoveError'

  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options)
  }
}

/** A manifest that is to be moved with all it refers to, under a tag or by its digest alone. */
export interface SourceImage {
  /** Its name at the destination. */
  readonly repository: RepositoryName
  readonly tag?: Tag
  readonly digest: Digest
}

/** What a source has and cannot give. */
export interface SourceProblem {
  readonly name: string
  readonly problem: string
}

export interface ContentSource extends AsyncDisposable {
  /** What it is, for people. */
  readonly description: string
  list(signal: AbortSignal): AsyncIterable<SourceImage | SourceProblem>
  /** Its bytes, which may be damaged. @throws MoveError when there are none. */
  readManifest(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: Uint8Array; readonly mediaType?: string }>
  /** @throws MoveError when it is not there, or of another size. */
  checkBlob(repository: RepositoryName, blob: Descriptor): Promise<void>
  /** Nothing is opened before the first chunk is asked for. @throws MoveError, while it is read. */
  openBlob(
    repository: RepositoryName,
    blob: Descriptor,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>
  /** What refers to the manifest and is not in `list`; absent where all is in it. */
  listReferrers?(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<readonly Digest[]>
}

export interface MovedManifest {
  readonly digest: Digest
  readonly mediaType: string
  readonly bytes: Uint8Array
}

export interface BlobMove {
  /** A repository of the destination that has it already. */
  readonly from: RepositoryName | undefined
  /** Its bytes; the last of them come only when the digest is right. */
  readonly open: () => AsyncIterable<Uint8Array>
  readonly signal: AbortSignal
}

export interface ContentDestination extends AsyncDisposable {
  /** What it has under this name. */
  findManifest(
    repository: RepositoryName,
    reference: Reference,
    signal: AbortSignal,
  ): Promise<Digest | undefined>
  hasBlob(repository: RepositoryName, digest: Digest, signal: AbortSignal): Promise<boolean>
  /** @returns whether its bytes had to be sent. */
  putBlob(repository: RepositoryName, blob: Descriptor, move: BlobMove): Promise<boolean>
  putManifest(
    repository: RepositoryName,
    manifest: MovedManifest,
    tag: Tag | undefined,
    signal: AbortSignal,
  ): Promise<void>
  /** Why it does not take content of this repository at all. */
  refusalOf(repository: RepositoryName): string | undefined
}
