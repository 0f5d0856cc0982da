/**
 * What a handler answers, and sending it. Content is sent with its length known; once its first byte
 * is out a failure can only be told by cutting the connection.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { endOfTurn } from '../lib/end-of-turn.ts'

export interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Uint8Array | StreamedBody
}

export interface StreamedBody extends AsyncDisposable {
  /** Bytes; absent of what is made while it is sent (chunked). */
  readonly length?: number
  /** A chunk is only used until the next one is asked for. */
  chunks(): AsyncIterable<Uint8Array>
}

interface Sending {
  /** Told of every run of body bytes that was handed to the system. */
  readonly onSent: (bytes: number) => void
  /** Awaited after the last byte of the reply, before it is ended. */
  readonly beforeEnd?: () => Promise<unknown>
}

/**
 * Resolves when all of the reply was handed to the system, rejects when the client is gone. A stream
 * that fails before its first byte fails before the head was sent: another reply may take its place.
 */
export async function sendReply(
  request: IncomingMessage,
  response: ServerResponse,
  reply: Reply,
  { onSent, beforeEnd }: Sending,
): Promise<void> {
  const { body } = reply
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
    setHeaders(response, reply)
    await sendWhole(request, response, { status: reply.status, body }, beforeEnd)
    if (body !== undefined && request.method !== 'HEAD') onSent(Buffer.byteLength(body))
    return
  }
  await using streamed = body
  const begin = (): void => {
    setHeaders(response, reply)
    if (streamed.length !== undefined) response.setHeader('Content-Length', streamed.length)
    response.writeHead(reply.status)
  }
  if (request.method !== 'HEAD') {
    for await (const chunk of streamed.chunks()) {
      if (!response.headersSent) begin()
      await write(response, chunk)
      onSent(chunk.length)
    }
  }
  if (!response.headersSent) begin()
  await beforeEnd?.()
  await end(response)
}

function setHeaders(response: ServerResponse, { headers = {} }: Reply): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}

async function sendWhole(
  request: IncomingMessage,
  response: ServerResponse,
  { status, body }: { status: number; body: string | Uint8Array | undefined },
  beforeEnd: Sending['beforeEnd'],
): Promise<void> {
  // Answers to different clients at once: on a machine with both, to wake a client that waits costs
  // more than to write to it, and those that are written to meanwhile need not be woken one by one.
  await endOfTurn()
  // 204 and 304 must not carry a Content-Length of their (absent) body; RFC 9110, 8.6.
  if (status !== 204 && status !== 304 && !response.hasHeader('Content-Length')) {
    response.setHeader('Content-Length', body === undefined ? 0 : Buffer.byteLength(body))
  }
  response.writeHead(status)
  const content = request.method === 'HEAD' ? undefined : body
  const isShort = content === undefined || content.length <= shortBodyLengthMax
  if (isShort && beforeEnd === undefined) return end(response, content)
  if (content === undefined) response.flushHeaders()
  else await write(response, content)
  await beforeEnd?.()
  await end(response)
}

/**
 * A server that stops closes connections whose answer was ended, even if it is still being sent; so
 * what may not fit into the system's buffers is ended only when it was sent.
 */
const shortBodyLengthMax = 16 * 1024

function write(response: ServerResponse, chunk: string | Uint8Array): Promise<void> {
  return settled(response, (done) => response.write(chunk, done))
}

/**
 * Bytes go as Latin-1 text, which keeps each of them: node sends text in one write with the head, and
 * bytes in another one.
 */
function end(response: ServerResponse, body?: string | Uint8Array): Promise<void> {
  return settled(response, (done) => {
    response.once('finish', done)
    if (body instanceof Uint8Array) response.end(latin1(body), 'latin1')
    else response.end(body)
  })
}

function latin1({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}

/**
 * Node forgets the callbacks of a response whose connection closed meanwhile, so its closing is
 * listened for too. Once it is closed the system uses no chunk any more.
 */
function settled(
  response: ServerResponse,
  act: (done: (error?: Error | null) => void) => void,
): Promise<void> {
  if (response.closed) return Promise.reject(new ClientGone())
  return new Promise((resolve, reject) => {
    const onClose = (): void => {
      if (response.writableFinished) resolve()
      else reject(new ClientGone())
    }
    response.once('close', onClose)
    act((error) => {
      response.off('close', onClose)
      if (error) reject(error)
      else resolve()
    })
  })
}

/** The connection ended before the reply did. No error: nobody is left to be told. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'

  constructor() {
    super('the client closed the connection')
  }
}
