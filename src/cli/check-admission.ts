/** What `trow check` shows of the webhooks: the settings as they would be in the file. */
import type {
  AdmissionServing,
  ImageMutation,
  SelfManagedTls,
  TlsConfig,
} from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import { formatHostPort } from '../config/host-port.ts'

export function admissionOf({ certificate, ...admission }: AdmissionServing): object {
  return {
    // Without a certificate nothing listens there.
    ...(certificate && { bind: formatHostPort(admission.bind), ...certificateOf(certificate) }),
    events: admission.events,
    service_account_dir: admission.serviceAccountDir,
  }
}

function certificateOf(certificate: TlsConfig | SelfManagedTls): object {
  if ('cert' in certificate) {
    return { tls: { cert: certificate.certFile, key: certificate.keyFile } }
  }
  const { namespace, validatingWebhook, mutatingWebhook } = certificate
  return {
    self_managed: {
      ...(namespace !== undefined && { namespace }),
      secret: certificate.secret,
      dns_names: certificate.dnsNames,
      ...(validatingWebhook !== undefined && { validating_webhook: validatingWebhook }),
      ...(mutatingWebhook !== undefined && { mutating_webhook: mutatingWebhook }),
      check_interval: formatDuration(certificate.checkIntervalSeconds),
    },
  }
}

export function mutationOf({ registry, ignoreRepos, pinDigests }: ImageMutation): object {
  return { registry, ignore_repos: ignoreRepos, pin_digests: pinDigests }
}
