/** Where the digests of bytes that are appended to an upload are computed. */
import type { Digest, DigestAlgorithm } from '../../oci/digest.ts'
import type { AppendObserver } from './upload-store.ts'

export interface Hashing {
  /** @param bytesExpected in all, or in the first request; undefined when nobody knows. */
  begin(algorithm: DigestAlgorithm, bytesExpected: number | undefined): RunningDigest
}

/** Stays where it began: the state of a hash cannot be moved. Disposing of one drops that state. */
export interface RunningDigest extends Disposable {
  readonly algorithm: DigestAlgorithm
  /** Bytes that went into it. */
  readonly size: number
  /** To be told of all that is appended, in order. */
  readonly observer: Pick<AppendObserver, 'onBytes' | 'onStored'>
  /**
   * May be asked for once, after the last byte. Never rejects.
   * @returns undefined when it is not known any more: then what is staged has to be hashed.
   */
  digest(): Promise<Digest | undefined>
}
