/**
 * What work on a whole registry tells while it runs, whether a server does it (a JSON document in a
 * line each, `POST /api/gc` for one) or this process. The last event has the report or the error;
 * without it the work was cut off.
 */
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { isRecord } from '../oci/descriptor.ts'
import { printable } from '../oci/upstream-error.ts'
import { contentError, parseJson, type UpstreamResponse } from '../upstream/exchange.ts'
import { networkError } from '../upstream/network-error.ts'
import { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'

export interface OperationEvent {
  /** Its name, first of all. */
  readonly operation?: string
  readonly progress?: { readonly step: string; readonly done: number; readonly total?: number }
  /** Something that is worth a line. */
  readonly item?: object
  readonly report?: object
  readonly error?: { readonly code?: string; readonly message: string }
}

/** @throws UpstreamError when the answer breaks off or is something else. */
export async function* readEvents(
  { body, url }: UpstreamResponse,
  signal: AbortSignal,
): AsyncGenerator<OperationEvent> {
  let rest = Buffer.of()
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const lines = splitLines(Buffer.concat([rest, chunk]))
      rest = lines.pop() ?? Buffer.of()
      if (rest.length > limits.operationLineBytesMax) break
      for (const line of lines) yield parseEvent(line, url)
    }
  } catch (error) {
    signal.throwIfAborted()
    throw networkError(url, error)
  }
  if (rest.length > 0) throw contentError(url, 'its answer breaks off in the middle of a line')
}

/** The last one is what no line break has ended yet. */
function splitLines(bytes: Buffer<ArrayBuffer>): Buffer<ArrayBuffer>[] {
  const lines: Buffer<ArrayBuffer>[] = []
  let start = 0
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    lines.push(bytes.subarray(start, end))
    start = end + 1
  }
  return [...lines, bytes.subarray(start)]
}

function parseEvent(line: Buffer, url: URL): OperationEvent {
  const event = parseJson(line)
  if (!isRecord(event)) throw contentError(url, 'its answer is no list of JSON documents')
  return event
}

/**
 * Shows progress until there is a report.
 * @param onItem told of each line that the work has to say.
 * @throws StartError with the error that ended it.
 */
export async function watchOperation(
  events: AsyncIterable<OperationEvent>,
  terminal: Terminal,
  onItem: (item: object) => void,
): Promise<object> {
  using progress = new Progress(terminal, '')
  for await (const event of events) {
    if (event.progress !== undefined) progress.show(event.progress)
    if (event.item !== undefined) {
      progress.clear()
      onItem(event.item)
    }
    if (event.error !== undefined) {
      const { code, message } = event.error
      throw new StartError(printable(code === undefined ? message : `${message} (${code})`))
    }
    if (event.report !== undefined) return event.report
  }
  throw new StartError('the connection ended before the work was done; start it again')
}
