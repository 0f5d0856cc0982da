/**
 * Work on the whole registry, for `trow gc` and for programs: `POST /api/gc`, `/api/scrub`. The answer is a document
 * in a line (NDJSON) for each event, until the last one has the report or the error. A client that
 * goes away ends what it began, after its present step.
 */
import { OciError } from '../../oci/errors.ts'
import type { Collector } from '../../registry/collector.ts'
import type { Operation } from '../../registry/operation.ts'
import type { Operations } from '../../registry/operations.ts'
import type { Scrub } from '../../registry/scrub.ts'
import type { Exchange, Route } from '../exchange.ts'
import { readSwitch } from '../query-switch.ts'
import type { Reply } from '../reply.ts'

interface Verbs {
  readonly operations: Operations
  readonly collector: Collector
  readonly scrub: Scrub
  /** Bytes a second, where the request names none. */
  readonly scrubRate: () => number
}

/** Whoever may delete everything. */
export function operationRoutes({ operations, collector, scrub, scrubRate }: Verbs): Route[] {
  const collect = ({ context, query }: Exchange): Reply => {
    const options = { dryRun: readSwitch(query, 'dry-run') }
    return stream(
      operations.start('gc', (monitor) => collector.collect(options, monitor), context.signal),
    )
  }
  const check = ({ context, query }: Exchange): Reply => {
    const options = {
      repair: readSwitch(query, 'repair'),
      rateBytes: readBytes(query, 'rate') ?? scrubRate(),
    }
    return stream(
      operations.start('scrub', (monitor) => scrub.scrub(options, monitor), context.signal),
    )
  }
  return [
    { name: 'gc', pattern: '/api/gc', endpoints: { POST: { access: 'admin', handle: collect } } },
    {
      name: 'scrub',
      pattern: '/api/scrub',
      endpoints: { POST: { access: 'admin', handle: check } },
    },
  ]
}

/** @throws OciError UNSUPPORTED (400) */
function readBytes(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name)
  if (text === null) return undefined
  const bytes = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(bytes)) return bytes
  throw new OciError('UNSUPPORTED', {
    status: 400,
    message: `the parameter ${name} is a number of bytes`,
  })
}

function stream(operation: Operation): Reply {
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/x-ndjson',
      'Cache-Control': 'no-store',
      // nginx would keep the lines until it has a page of them.
      'X-Accel-Buffering': 'no',
    },
    body: {
      chunks: () => lines(operation),
      [Symbol.asyncDispose]: () => operation[Symbol.asyncDispose](),
    },
  }
}

async function* lines(operation: Operation): AsyncGenerator<Uint8Array> {
  for await (const event of operation.events()) yield Buffer.from(`${JSON.stringify(event)}\n`)
}
