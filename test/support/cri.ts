// What the kubelet does to pull an image, and nothing else of it: calls of the Container Runtime
// Interface's image service (k8s.io/cri-api, runtime.v1), which is gRPC on a runtime's socket.

import { connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2'
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** A pull is one call. */
const callTimeoutMs = 2 * 60 * 1000

/** Pulls an image by the CRI of the runtime at a socket; the digest that it then has there. */
export async function criPull(address: string, image: string): Promise<string> {
  // Both requests begin with an ImageSpec, whose first field is the image's name.
  const request = field(1, field(1, Buffer.from(image)))
  await call(address, 'PullImage', request)
  const status = await call(address, 'ImageStatus', request)
  // The only thing of this form in the answer is the image's repo_digests.
  const digest = /@(sha256:[0-9a-f]{64})/.exec(status.toString('latin1'))?.[1]
  if (digest === undefined) throw new Error(`the runtime has no digest for ${image}`)
  return digest
}

/** A call with one message each way; throws with the server's message unless it says OK. */
async function call(address: string, method: string, message: Buffer): Promise<Buffer> {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(address) })
  try {
    const stream = session.request(
      {
        [constants.HTTP2_HEADER_METHOD]: 'POST',
        [constants.HTTP2_HEADER_PATH]: `/runtime.v1.ImageService/${method}`,
        [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc',
        [constants.HTTP2_HEADER_TE]: 'trailers',
      },
      { signal: AbortSignal.timeout(callTimeoutMs) },
    )
    const failed = new Promise<never>((_, reject) => session.once('error', reject))
    let end: IncomingHttpHeaders = {}
    stream.on('response', (headers) => (end = { ...end, ...headers }))
    stream.on('trailers', (headers) => (end = { ...end, ...headers }))
    // One byte that says that it is not compressed, four with the length.
    const prefix = Buffer.alloc(5)
    prefix.writeUInt32BE(message.length, 1)
    stream.end(Buffer.concat([prefix, message]))
    const body = await Promise.race([buffer(stream), failed])
    if (end['grpc-status'] === '0') return body.subarray(prefix.length)
    throw new Error(`${method}: ${decodeURIComponent(String(end['grpc-message']))}`)
  } finally {
    session.destroy()
  }
}

/** A field of a protobuf message whose value has a length. */
function field(number: number, value: Buffer): Buffer {
  const length = []
  let rest = value.length
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128)
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), value])
}
