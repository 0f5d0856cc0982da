// A load generator of its own process, as no real one pushes content that is new each time: pushes
// blobs as docker does (POST, PATCH with all bytes, PUT), so many at a time, and prints how long it
// took. Usage: `push-load.ts <JSON of PushLoad>`.

import { createHash, type Hash, randomBytes } from 'node:crypto'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

export interface PushLoad {
  readonly url: string
  readonly repository: string
  readonly blobBytes: number
  readonly count: number
  readonly parallel: number
  /** Of each blob from the start on: the first `slow` of them are sent at this pace. */
  readonly slow?: { readonly count: number; readonly bytesPerSecond: number }
}

export interface PushResult {
  readonly seconds: number
}

const pieceBytes = 1024 * 1024
const slowPieceBytes = 64 * 1024
const tailBytes = 16

interface Blob {
  readonly digest: string
  readonly tail: Buffer
  readonly bytesPerSecond: number | undefined
}

const load = JSON.parse(process.argv[2] ?? '') as PushLoad
const agent = new Agent({ keepAlive: true, maxSockets: load.parallel })
const piece = randomBytes(pieceBytes)

/** All blobs begin alike, so that what they have in common is hashed once, and end differently. */
function makeBlobs(): Blob[] {
  const common = createHash('sha256')
  for (const bytes of pieces(load.blobBytes - tailBytes, pieceBytes)) common.update(bytes)
  const { slow = { count: 0, bytesPerSecond: 0 } } = load
  return Array.from({ length: load.count }, (_, index) => {
    const tail = randomBytes(tailBytes)
    const bytesPerSecond = index < slow.count ? slow.bytesPerSecond : undefined
    return { digest: digestOf(common.copy().update(tail)), tail, bytesPerSecond }
  })
}

function digestOf(hash: Hash): string {
  return `sha256:${hash.digest('hex')}`
}

/** The same bytes, however large the pieces are, as long as a whole number of them is `piece`. */
function* pieces(size: number, bytesMax: number): Generator<Buffer> {
  for (let position = 0; position < size; position += bytesMax) {
    const start = position % pieceBytes
    yield piece.subarray(start, start + Math.min(bytesMax, size - position))
  }
}

async function* bodyOf({ tail, bytesPerSecond }: Blob): AsyncGenerator<Buffer> {
  const started = performance.now()
  let sent = 0
  const bytesMax = bytesPerSecond === undefined ? pieceBytes : slowPieceBytes
  for (const bytes of pieces(load.blobBytes - tailBytes, bytesMax)) {
    yield bytes
    sent += bytes.length
    if (bytesPerSecond === undefined) continue
    const early = (sent / bytesPerSecond) * 1000 - (performance.now() - started)
    if (early > 0) await delay(early)
  }
  yield tail
}

interface Sending {
  readonly method: string
  readonly url: URL
  readonly expected: number
  readonly body?: AsyncIterable<Buffer>
}

function send({ method, url, expected, body }: Sending): Promise<IncomingHttpHeaders> {
  const length = body === undefined ? 0 : load.blobBytes
  const headers = { 'content-length': length, 'content-type': 'application/octet-stream' }
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent })
    outgoing.once('error', reject)
    outgoing.once('response', (incoming) => {
      incoming.resume().once('end', () => {
        if (incoming.statusCode === expected) resolve(incoming.headers)
        else reject(new Error(`${method} ${url.href}: ${incoming.statusCode}`))
      })
    })
    writeAll(outgoing, body).catch(reject)
  })
}

async function writeAll(
  outgoing: ReturnType<typeof request>,
  body: AsyncIterable<Buffer> | undefined,
): Promise<void> {
  for await (const bytes of body ?? []) {
    await new Promise((resolve) => outgoing.write(bytes, resolve))
  }
  outgoing.end()
}

async function push(blob: Blob): Promise<void> {
  const start = new URL(`/v2/${load.repository}/blobs/uploads/`, load.url)
  const started = await send({ method: 'POST', url: start, expected: 202 })
  const session = new URL(started.location ?? '', load.url)
  const sent = await send({ method: 'PATCH', url: session, expected: 202, body: bodyOf(blob) })
  const end = new URL(sent.location ?? '', load.url)
  end.searchParams.set('digest', blob.digest)
  await send({ method: 'PUT', url: end, expected: 201 })
}

const waiting = makeBlobs()

async function work(): Promise<void> {
  for (let blob = waiting.shift(); blob !== undefined; blob = waiting.shift()) await push(blob)
}

const started = performance.now()
await Promise.all(Array.from({ length: load.parallel }, work))
const result: PushResult = { seconds: (performance.now() - started) / 1000 }
agent.destroy()
console.log(JSON.stringify(result))
