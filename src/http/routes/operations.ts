/**
 * Work on the whole registry, for `trow gc` and for programs: `POST /api/gc`. The answer is a document
 * in a line (NDJSON) for each event, until the last one has the report or the error. A client that
 * goes away ends what it began, after its present step.
 */
import type { Collector } from '../../registry/collector.ts'
import type { Operation } from '../../registry/operation.ts'
import type { Operations } from '../../registry/operations.ts'
import type { Exchange, Route } from '../exchange.ts'
import { readSwitch } from '../query-switch.ts'
import type { Reply } from '../reply.ts'

interface Verbs {
  readonly operations: Operations
  readonly collector: Collector
}

/** Whoever may delete everything. */
export function operationRoutes({ operations, collector }: Verbs): Route[] {
  const collect = ({ context, query }: Exchange): Reply => {
    const options = { dryRun: readSwitch(query, 'dry-run') }
    return stream(
      operations.start('gc', (monitor) => collector.collect(options, monitor), context.signal),
    )
  }
  return [
    { name: 'gc', pattern: '/api/gc', endpoints: { POST: { access: 'admin', handle: collect } } },
  ]
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
