/** Makes the parts of the configuration that are about serving the webhooks and changing images. */
import type { AdmissionServing, ImageMutation, SelfManagedTls } from './config.ts'
import { type FileContents, tlsConfig } from './file-contents.ts'
import { given } from './given.ts'
import type { Settings } from './schema.ts'

export function admissionServing(
  { admission: section }: Settings,
  contents: FileContents,
): AdmissionServing {
  const files = tlsConfig(section.tls, ['admission', 'tls'], contents)
  return {
    bind: section.bind,
    ...given('certificate', files ?? selfManaged(section.self_managed)),
    events: section.events,
    serviceAccountDir: section.service_account_dir,
  }
}

function selfManaged(section: Settings['admission']['self_managed']): SelfManagedTls | undefined {
  if (section === undefined) return undefined
  return {
    ...given('namespace', section.namespace),
    secret: section.secret,
    dnsNames: section.dns_names,
    ...given('validatingWebhook', section.validating_webhook),
    ...given('mutatingWebhook', section.mutating_webhook),
    checkIntervalSeconds: section.check_interval,
  }
}

/** @param hostname the first name of this registry */
export function imageMutation(
  { image_mutation: section }: Settings,
  hostname: string,
): ImageMutation | undefined {
  if (section === undefined) return undefined
  return {
    registry: section.registry ?? hostname,
    ignoreRepos: section.ignore_repos,
    pinDigests: section.pin_digests,
  }
}
