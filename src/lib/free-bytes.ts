/**
 * Frees the memory of bytes that have an ArrayBuffer to themselves, at once; others are left alone.
 * Nobody may use them any more, the system included. The garbage collector frees them late, as they
 * take next to no room in the heap that it watches.
 */
export function freeBytes({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}
