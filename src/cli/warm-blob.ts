/**
 * Has a Trow fetch one blob, and follows it without its bytes: a byte is asked for here and there,
 * which Trow sends when it has come so far, and the last one only when the digest is right. Sending
 * all of it would cost Trow twice as much, and a slow line to it would hold everything up. The end is
 * that Trow has it on its disk.
 */
import { limits } from '../config/limits.ts'
import type { Descriptor } from '../oci/descriptor.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { systemTimer } from '../upstream/timer.ts'
import { type CacheStatus, type Origin, PullError, type TrowClient } from './trow-client.ts'

export interface BlobSource {
  readonly trow: Pick<TrowClient, 'getBlob'>
  readonly origin: Origin
  readonly signal: AbortSignal
}

/**
 * @param onBytes told of so many more bytes that are there.
 * @returns how many bytes Trow did not have.
 * @throws PullError or UpstreamError
 */
export async function warmBlob(
  source: BlobSource,
  blob: Descriptor,
  onBytes: (bytes: number) => void,
): Promise<number> {
  const { size } = blob
  let reached = 0
  const advanceTo = (position: number): void => {
    onBytes(position - reached)
    reached = position
  }
  for (const position of positionsIn(size)) {
    const cache = await readByte(source, blob, position)
    const isFirst = reached === 0
    if (cache === 'HIT') {
      advanceTo(size)
      return isFirst ? 0 : size
    }
    // It had been under way, and is so no more.
    if (cache === 'MISS' && !isFirst) throw notKept(blob)
    advanceTo(Math.min(position + 1, size))
  }
  await untilKept(source, blob)
  return size
}

/** Of the bytes that are asked for; the last one is the last of the blob. */
function* positionsIn(size: number): Generator<number, void, undefined> {
  const last = Math.max(size - 1, 0)
  for (let next = limits.warmStepBytes; next < last; next += limits.warmStepBytes) yield next
  yield last
}

/** @returns what the cache made of it. */
async function readByte(
  { trow, origin, signal }: BlobSource,
  { digest, size }: Descriptor,
  position: number,
): Promise<CacheStatus> {
  for (let tries = 1; ; tries++) {
    // Of an empty blob there is no byte to ask for.
    const byte = size === 0 ? undefined : position
    await using answer = await trow.getBlob(origin, digest, signal, byte)
    if (answer.size !== size) {
      throw new PullError(`${digest} has ${answer.size} bytes, its manifest says ${size}`, 0)
    }
    try {
      await answer.readAll(1)
      return answer.cache
    } catch (error) {
      signal.throwIfAborted()
      // It takes its time, and is still under way.
      const isSlow = error instanceof UpstreamError && error.problem === 'timeout'
      if (isSlow && tries < limits.warmByteTriesMax) continue
      if (!(error instanceof UpstreamError)) throw error
      throw new PullError(`a layer broke off (${error.message}); the log of Trow says why`, 0)
    }
  }
}

/** Trow sends the last byte a moment before all of them are safe. */
async function untilKept(source: BlobSource, blob: Descriptor): Promise<void> {
  const deadline = systemTimer.now() + limits.warmKeptSecondsMax * 1000
  for (
    let wait: number = limits.warmKeptPollMsMin;
    ;
    wait = Math.min(2 * wait, limits.warmKeptPollMsMax)
  ) {
    const cache = await readByte(source, blob, 0)
    if (cache === 'HIT') return
    if (cache === 'MISS' || systemTimer.now() > deadline) throw notKept(blob)
    await systemTimer.wait(wait, source.signal)
  }
}

/** The disk is full, the blob larger than the cache may be, or its upstream broke off. */
function notKept({ digest }: Descriptor): PullError {
  return new PullError(`Trow did not keep ${digest}; its log says why`, 0)
}
