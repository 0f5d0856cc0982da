/**
 * The sections `admission` and `image_mutation` of the configuration file: how the API server reaches the
 * webhooks, with which certificate, and what the mutating one changes. Which images may run is in
 * `image_validation`.
 */
import * as z from 'zod'
import { OciError } from '../oci/errors.ts'
import { formatDuration } from './duration.ts'
import { parseBindAddress } from './host-port.ts'
import { InvalidSetting } from './invalid-setting.ts'
import { normalRepository } from './image-mutation.ts'
import { limits } from './limits.ts'
import { duration, hostPort, listOf, optional, read, text, withDefault } from './schema-fields.ts'

/** A name of Kubernetes that can be a part of a path. */
const objectName = read(text, (value) => {
  if (/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(value)) return value
  throw new InvalidSetting('expected the name of a Kubernetes object, such as "trow-webhook-ca"')
})

const dnsNames = read(listOf(objectName), (names) => {
  if (names.length > 0) return names
  throw new InvalidSetting(
    'is empty: name the webhook as the API server does, SERVICE.NAMESPACE.svc',
  )
})

const selfManaged = z.strictObject({
  namespace: optional(objectName, {
    description: 'Namespace of the Secret; otherwise that of the pod',
    restart: true,
  }),
  secret: withDefault(objectName, {
    description: 'Secret in which the replicas keep their certificate authority',
    initial: 'trow-webhook-ca',
    restart: true,
  }),
  dns_names: dnsNames.meta({
    description: 'Names of the webhook that certificates are for: `trow.trow.svc`',
    restart: true,
  }),
  validating_webhook: optional(objectName, {
    description: 'ValidatingWebhookConfiguration whose `caBundle` is kept up to date',
    restart: true,
  }),
  mutating_webhook: optional(objectName, {
    description: 'MutatingWebhookConfiguration whose `caBundle` is kept up to date',
    restart: true,
  }),
  check_interval: withDefault(
    duration(limits.authorityCheckSecondsMin, limits.authorityCheckSecondsMax),
    {
      description: 'How often Secret and configurations are looked at',
      initial: formatDuration(limits.authorityCheckSecondsDefault),
      restart: true,
    },
  ),
})

const tls = z.strictObject({
  cert: text.meta({ description: 'File with the certificate chain, PEM' }),
  key: text.meta({ description: 'File with the private key, PEM, without a passphrase' }),
})

export const admission = z.strictObject({
  bind: withDefault(
    read(z.string(), (value) => parseBindAddress(value, admissionPortDefault)),
    {
      description: 'Address and port of the webhooks, over HTTPS',
      initial: '[::]:8443',
      restart: true,
    },
  ),
  tls: optional(tls, { description: 'Certificate of the webhooks from files' }),
  self_managed: optional(selfManaged, {
    description: 'Certificates of the webhooks that Trow makes itself',
  }),
  events: withDefault(z.boolean(), {
    description: 'Tells of refused images in Events of the namespace',
    initial: false,
    restart: true,
  }),
  service_account_dir: withDefault(text, {
    description: 'Directory with the token, CA and namespace for the Kubernetes API',
    initial: '/var/run/secrets/kubernetes.io/serviceaccount',
    restart: true,
  }),
})

export const admissionPortDefault = 8443

const repository = read(text, (value) => {
  try {
    return normalRepository(value)
  } catch (error) {
    if (error instanceof OciError) throw new InvalidSetting(error.message)
    throw error
  }
})

export const imageMutation = z.strictObject({
  registry: optional(hostPort, {
    description: 'Name by which the nodes reach this registry; otherwise the first `hostname`',
  }),
  ignore_repos: withDefault(listOf(repository), {
    description: 'Repositories whose images stay as they are, such as `docker.io/library/nginx`',
    initial: [],
  }),
  pin_digests: withDefault(z.boolean(), {
    description: 'Adds the digest that a tag has in the cache',
    initial: false,
  }),
})
