/** `/api/upstreams`: how the other registries do, for `trow upstreams` and for programs. */
import type { UpstreamReports } from '../../registry/upstream-report.ts'
import type { Route } from '../exchange.ts'

/** Whoever may list the repositories may know where they come from. */
export function upstreamRoutes(reports: UpstreamReports): Route[] {
  const handle = () => ({
    status: 200,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify(reports.make()),
  })
  const endpoint = { access: 'catalog', handle } as const
  return [
    { name: 'upstreams', pattern: '/api/upstreams', endpoints: { GET: endpoint, HEAD: endpoint } },
  ]
}
