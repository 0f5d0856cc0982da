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

type ReplyWith<Body> = Omit<Reply, 'body'> & { readonly body: Body }

interface Sending {
  /** Names and values of headers in turn, before those of the reply. */
  readonly head: readonly string[]
  /** Told of every run of body bytes that was handed to the system. */
  readonly onSent: (bytes: number) => void
  /** Awaited after the last byte of the reply, before it is ended. */
  readonly beforeEnd?: () => Promise<unknown>
}

/**
 * Resolves when all of the reply was handed to the system, rejects when the client is gone. A stream
 * that fails before its first byte fails before the head was sent: another reply may take its place.
 */
export function sendReply(
  request: IncomingMessage,
  response: ServerResponse,
  reply: Reply,
  sending: Sending,
): Promise<void> {
  const { body } = reply
  return body === undefined || typeof body === 'string' || body instanceof Uint8Array
    ? sendWhole(request, response, { ...reply, body }, sending)
    : sendStream(request, response, { ...reply, body }, sending)
}

async function sendStream(
  request: IncomingMessage,
  response: ServerResponse,
  reply: ReplyWith<StreamedBody>,
  { head, onSent, beforeEnd }: Sending,
): Promise<void> {
  await using streamed = reply.body
  const begin = (): void => writeHead(response, reply, head, streamed.length)
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

async function sendWhole(
  request: IncomingMessage,
  response: ServerResponse,
  reply: ReplyWith<string | Uint8Array | undefined>,
  { head, onSent, beforeEnd }: Sending,
): Promise<void> {
  // Answers to different clients at once: on a machine with both, to wake a client that waits costs
  // more than to write to it, and those that are written to meanwhile need not be woken one by one.
  await endOfTurn()
  const { body } = reply
  const length = body === undefined ? 0 : Buffer.byteLength(body)
  writeHead(response, reply, head, length)
  const content = request.method === 'HEAD' ? undefined : body
  const isShort = content === undefined || content.length <= shortBodyLengthMax
  if (isShort && beforeEnd === undefined) {
    await end(response, content)
  } else {
    if (content === undefined) response.flushHeaders()
    else await write(response, content)
    await beforeEnd?.()
    await end(response)
  }
  if (content !== undefined) onSent(length)
}

/** All headers at once, as names and values in turn: node keeps no map of them then. */
function writeHead(
  response: ServerResponse,
  { status, headers = {} }: ReplyWith<unknown>,
  first: readonly string[],
  length: number | undefined,
): void {
  const lines: (string | string[])[] = [...first]
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (value !== undefined) lines.push(name, typeof value === 'string' ? value : [...value])
  }
  // 204 and 304 must not carry a Content-Length of their (absent) body; RFC 9110, 8.6.
  const isTold = length === undefined || status === 204 || status === 304
  if (!isTold && headers['Content-Length'] === undefined) lines.push('Content-Length', `${length}`)
  response.writeHead(status, lines)
}

/**
 * A server that stops closes connections whose answer was ended, even if it is still being sent; so
 * what may not fit into the system's buffers is ended only when it was sent.
 */
const shortBodyLengthMax = 16 * 1024

/**
 * Bytes go as Latin-1 text, which keeps each of them: node sends text in one write with the head, and
 * bytes in another one.
 */
function end(response: ServerResponse, body?: string | Uint8Array): Promise<void> {
  if (response.closed) return Promise.reject(new ClientGone())
  return new Promise((resolve, reject) => {
    // It comes when all was sent, too.
    response.once('close', () => {
      if (response.writableFinished) resolve()
      else reject(new ClientGone())
    })
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
function write(response: ServerResponse, chunk: string | Uint8Array): Promise<void> {
  if (response.closed) return Promise.reject(new ClientGone())
  return new Promise((resolve, reject) => {
    const onClose = (): void => {
      if (response.writableFinished) resolve()
      else reject(new ClientGone())
    }
    response.once('close', onClose)
    response.write(chunk, (error) => {
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
