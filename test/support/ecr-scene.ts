// Private ECR registries under their own names over TLS, and the API that hands out passwords for
// them: a proxy leads the names to this machine, the environment names the API.

import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { issueCertificate } from './certificate.ts'
import { directoryWith } from './directory-with.ts'
import { FakeEcr } from './fake-ecr.ts'
import { FakeProxy } from './fake-proxy.ts'
import { FakeUpstream } from './fake-upstream.ts'
import type { ImageFixture } from './image-fixture.ts'
import { proxyConfig } from './pull-through.ts'
import { type Registry, startRegistry } from './start-registry.ts'

export const ecrHosts = {
  host: '123456789012.dkr.ecr.eu-west-1.amazonaws.com',
  neighbour: '210987654321.dkr.ecr.eu-west-1.amazonaws.com',
  china: '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn',
  fips: '123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com',
  dualStack: '123456789012.dkr-ecr.eu-west-1.on.aws',
}

const hosts = Object.values(ecrHosts)
const certificate = issueCertificate(hosts)
const keys = { AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE', AWS_SECRET_ACCESS_KEY: 'aws-secret' }

export interface EcrScene extends AsyncDisposable {
  readonly ecr: FakeEcr
  readonly api: FakeUpstream
  readonly upstream: FakeUpstream
  readonly registry: Registry
  manifest(host: string, tag?: string): ReturnType<Registry['request']>
}

export interface EcrSceneOptions {
  /** AWS variables; keys that do by default. */
  readonly environment?: Readonly<Record<string, string>>
  /** A role of a service account, whose token is `identity`, in place of them (IRSA). */
  readonly hasRole?: boolean
  readonly entries?: readonly object[]
  readonly program?: string
}

/** Image `app:v1` on all of `ecrHosts`, which are one server, and a registry without configuration. */
export async function startEcrScene(
  t: TestContext,
  image: ImageFixture,
  options: EcrSceneOptions = {},
): Promise<EcrScene> {
  const directory = await directoryWith(t, { 'ca.crt': certificate.ca, token: 'identity' })
  const role = {
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/trow',
    AWS_WEB_IDENTITY_TOKEN_FILE: join(directory, 'token'),
  }
  const { environment = options.hasRole ? role : keys, entries = [], program } = options
  await using started = new AsyncDisposableStack()
  const ecr = new FakeEcr()
  const api = started.use(await FakeUpstream.start()).use(ecr.api)
  const tls = { key: certificate.key, cert: certificate.cert }
  const upstream = started.use(await FakeUpstream.start({ tls })).use(ecr.registry)
  upstream.content.addImage('app', image, 'v1')
  const led = Object.fromEntries(hosts.map((name) => [`${name}:443`, upstream.host]))
  const proxy = started.use(await FakeProxy.start({ hosts: led }))
  const registry = started.use(
    await startRegistry({
      config: proxyConfig(entries),
      ...(program !== undefined && { program }),
      environment: {
        HOME: directory,
        HTTPS_PROXY: `http://${proxy.host}`,
        NODE_EXTRA_CA_CERTS: join(directory, 'ca.crt'),
        AWS_ENDPOINT_URL_ECR: api.origin,
        AWS_ENDPOINT_URL_STS: api.origin,
        AWS_EC2_METADATA_DISABLED: 'true',
        ...environment,
      },
    }),
  )
  const stack = started.move()
  return {
    ecr,
    api,
    upstream,
    registry,
    manifest: (name, tag = 'v1') => registry.request('GET', `/v2/app/manifests/${tag}?ns=${name}`),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
