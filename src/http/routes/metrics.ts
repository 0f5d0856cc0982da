/** `/metrics` for Prometheus. */
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Route } from '../exchange.ts'

export function metricsRoutes(metrics: Metrics): Route[] {
  const handle = async () => ({
    status: 200,
    headers: { 'Content-Type': metrics.contentType, 'Cache-Control': 'no-store' },
    body: await metrics.render(),
  })
  const endpoint = { access: 'public', handle } as const
  return [{ name: 'metrics', pattern: '/metrics', endpoints: { GET: endpoint, HEAD: endpoint } }]
}
