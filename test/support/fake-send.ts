// The lowest layer of the upstream client without a network: answers from a list, one per request,
// and a record of the requests. An error in the list is thrown.

import { Readable } from 'node:stream'
import type {
  Send,
  UpstreamHeaders,
  UpstreamRequest,
  UpstreamResponse,
} from '../../src/upstream/exchange.ts'

export interface FakeAnswer {
  readonly status?: number
  readonly headers?: UpstreamHeaders
  readonly body?: string
}

export class FakeSend {
  readonly requests: UpstreamRequest[] = []
  readonly #answers: (FakeAnswer | Error)[]

  constructor(...answers: (FakeAnswer | Error)[]) {
    this.#answers = answers
  }

  readonly send: Send = async (request) => {
    this.requests.push(request)
    const answer = this.#answers[Math.min(this.requests.length, this.#answers.length) - 1]
    if (answer instanceof Error) throw answer
    return fakeResponse(request.url, answer)
  }
}

export function fakeResponse(url: URL, answer: FakeAnswer = {}): UpstreamResponse {
  const { status = 200, headers = {}, body = '' } = answer
  return { status, headers, body: Readable.from([Buffer.from(body)]), url }
}

export function fakeRequest(url: string, options: Partial<UpstreamRequest> = {}): UpstreamRequest {
  const signal = new AbortController().signal
  return { method: 'GET', headers: {}, signal, ...options, url: new URL(url) }
}
