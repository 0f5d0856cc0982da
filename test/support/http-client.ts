// Requests to a registry over node:http as they are, without what `fetch` adds or hides: any method
// and header, bodies of known and unknown length, and the answer's headers and bytes untouched.

import { type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { buffer } from 'node:stream/consumers'

/** What is no answer by then is a failure. */
const deadlineMs = 60_000

export type RequestBody = string | Uint8Array | AsyncIterable<Uint8Array>

export interface RequestOptions {
  readonly headers?: OutgoingHttpHeaders
  /** Text and bytes go with Content-Length, an iterable goes chunked. */
  readonly body?: RequestBody
  /** The address that the client has. */
  readonly from?: string
}

export interface ConnectionOptions {
  readonly agent?: Agent | false
  /** PEM. */
  readonly ca?: string
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
  /** The value of a header that must be there, once. */
  header(name: string): string
  json(): unknown
  /** Of an error: the codes that the body has. */
  codes(): string[]
}

export function send(
  method: string,
  url: URL,
  options: RequestOptions = {},
  connection: ConnectionOptions = {},
): Promise<Reply> {
  const make = url.protocol === 'https:' ? secureRequest : request
  const { headers = {}, body, from } = options
  return new Promise((resolve, reject) => {
    const outgoing = make(url, {
      method,
      headers,
      agent: connection.agent ?? false,
      signal: AbortSignal.timeout(deadlineMs),
      ...(from !== undefined && { localAddress: from }),
      ...(connection.ca !== undefined && { ca: connection.ca }),
    })
    outgoing.once('error', reject)
    outgoing.once('response', (incoming) => {
      const { statusCode = 0, headers: received, rawHeaders } = incoming
      buffer(incoming).then(
        (bytes) => resolve(makeReply({ status: statusCode, headers: received, rawHeaders }, bytes)),
        reject,
      )
    })
    if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
      outgoing.end(body)
    } else {
      writeAll(outgoing, body).catch(reject)
    }
  })
}

type Head = Pick<Reply, 'status' | 'headers' | 'rawHeaders'>

export function makeReply(head: Head, body: Buffer): Reply {
  return {
    ...head,
    body,
    header: (name) => {
      const value = head.headers[name.toLowerCase()]
      if (typeof value === 'string') return value
      throw new Error(`no ${name} in the answer ${head.status}: ${JSON.stringify(head.headers)}`)
    },
    json: () => JSON.parse(body.toString()) as unknown,
    codes: () => {
      const { errors } = JSON.parse(body.toString()) as { errors: { code: string }[] }
      return errors.map(({ code }) => code)
    },
  }
}

async function writeAll(
  outgoing: ReturnType<typeof request>,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of chunks) {
    // Until it is out, or the connection is gone.
    await new Promise((resolve) => outgoing.write(chunk, resolve))
  }
  outgoing.end()
}
