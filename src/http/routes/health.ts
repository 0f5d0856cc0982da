/** Probes: `/healthz` says that the process answers, `/readiness` that it can do its work. */
import type { Route } from '../exchange.ts'
import type { Reply } from '../reply.ts'

export interface ReadinessCheck {
  /** @returns what is wrong, for the operator. */
  findProblem(): Promise<string | undefined> | string | undefined
}

export function healthRoutes(health: ReadinessCheck): Route[] {
  const alive = { access: 'public', handle: () => reply(200, { is_healthy: true }) } as const
  const ready = {
    access: 'public',
    handle: async () => {
      const problem = await health.findProblem()
      return problem === undefined
        ? reply(200, { is_ready: true })
        : reply(503, { is_ready: false, message: problem })
    },
  } as const
  return [
    { name: 'healthz', pattern: '/healthz', endpoints: { GET: alive, HEAD: alive } },
    { name: 'readiness', pattern: '/readiness', endpoints: { GET: ready, HEAD: ready } },
  ]
}

function reply(status: number, body: object): Reply {
  return {
    status,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify(body),
  }
}
