/**
 * The policy for images, kept at pulls (`image_validation.enforce_at_pull`): a manifest of an image
 * that may not run is not served, whoever asks and whatever runs on their node. A digest says nothing
 * of tags, so one is served if it may belong to any image of its repository that is allowed.
 */
import type { Admission, PulledName } from '../admission/admission.ts'
import { placeOf } from '../admission/rule-set.ts'
import { OciError } from '../oci/errors.ts'
import { parseRegistryHost, type RegistryHost } from '../oci/image-reference.ts'
import type { Reference } from '../oci/reference.ts'
import { isRepositoryName, type RepositoryName } from '../oci/repository-name.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Exchange } from './exchange.ts'
import type { PullTarget } from './routes/pull-target.ts'

interface Parts {
  readonly admission: Admission
  readonly metrics: Metrics
}

/** @throws OciError DENIED */
export function requireAllowedPull(
  { admission, metrics }: Parts,
  exchange: Exchange,
  pull: PullTarget,
  reference: Reference,
): void {
  const refusal = admission.findPullRefusal(() => namesOf(exchange, pull), reference)
  if (refusal === undefined) return
  const { mode, judgement } = refusal
  const { names, reason, rule } = judgement
  const image = names[0] ?? ''
  metrics.countPullRefused(mode)
  exchange.context.log.info(
    { image, names, mode, reason, ...(rule && { rule: `${placeOf(rule)} ${rule.rule.image}` }) },
    mode === 'enforce' ? `pull refused: ${image}` : `pull would be refused: ${image}`,
  )
  if (mode !== 'enforce') return
  throw new OciError('DENIED', { message: `${image}: ${reason}`, detail: { image } })
}

/** Names that the image may have in a pod: those that a client invents in `Host` do not count. */
function namesOf({ hostnames, parameters }: Exchange, pull: PullTarget): PulledName[] {
  if (pull.kind === 'local') return ownNames(hostnames, pull.repository)
  const upstream = { registry: pull.target.host, repository: pull.target.repository }
  if (pull.namespace !== undefined) return [upstream]
  const path = parameters['repository'] ?? ''
  // As a pod can have it: a port's underscore at the end is no part of an image's name.
  const repository = isRepositoryName(path) ? path : path.replace(/^(f\/[^/]*)_\//, '$1/')
  return isRepositoryName(repository) ? [...ownNames(hostnames, repository), upstream] : [upstream]
}

function ownNames(hostnames: readonly string[], repository: RepositoryName): PulledName[] {
  return hostsOf(hostnames).map((registry) => ({ registry, repository }))
}

function hostsOf(hostnames: readonly string[]): RegistryHost[] {
  const hosts = hostnames.flatMap((name) => {
    try {
      return [parseRegistryHost(name)]
    } catch (error) {
      if (error instanceof OciError) return []
      throw error
    }
  })
  // Some name there has to be, or nothing would be judged.
  return hosts.length > 0 ? hosts : [parseRegistryHost('localhost')]
}
