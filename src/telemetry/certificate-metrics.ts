/** The metric of the certificate that the registry serves. */
import { Gauge, type Registry } from '@prometheus-io/client'

/** What renews it may fail, which nobody notices until it has ended. */
export function registerCertificateGauge(registers: Registry[], notAfter: () => Date): void {
  const gauge: Gauge = new Gauge({
    name: 'trow_tls_certificate_not_after_timestamp_seconds',
    help: 'When the certificate of the registry ends',
    registers,
    collect: () => gauge.set(notAfter().getTime() / 1000),
  })
}
