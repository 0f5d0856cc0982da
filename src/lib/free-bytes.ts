/**
 * Bytes that have an ArrayBuffer to themselves, as most pieces of a body have: their memory can be freed,
 * or given away, without anybody else losing something.
 */
import { isMarkedAsUntransferable } from 'node:worker_threads'

/** @returns undefined when others may use it, too, or it is gone already. */
export function ownBuffer({ buffer, byteLength }: Uint8Array): ArrayBuffer | undefined {
  const isOwn =
    buffer instanceof ArrayBuffer && !buffer.detached && buffer.byteLength === byteLength
  return isOwn && !isMarkedAsUntransferable(buffer) ? buffer : undefined
}

/**
 * Frees the memory of such bytes at once; others are left alone. Nobody may use them any more, the system
 * included. The garbage collector frees them late, as they take next to no room in the heap that it watches.
 */
export function freeBytes(bytes: Uint8Array): void {
  ownBuffer(bytes)?.transfer(0)
}
