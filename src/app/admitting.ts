/** What answers the API server, with and without a registry beside it. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Admission } from '../admission/admission.ts'
import { Mutation } from '../admission/mutation.ts'
import type { Config } from '../config/config.ts'
import { makeMutation } from '../config/image-mutation.ts'
import { makePolicy } from '../config/image-policy.ts'
import { limits } from '../config/limits.ts'
import { ReviewBodies } from '../http/review-request.ts'
import type { DenialEvents } from '../kubernetes/denial-events.ts'
import type { Clock } from '../registry/ports/clock.ts'
import type { Logger } from '../telemetry/logger.ts'
import { makeDenialEvents } from './kubernetes.ts'

interface Parts {
  readonly config: Config
  readonly clock: Clock
  readonly log: Logger
  readonly onReload: ((changed: Config) => void)[]
}

export interface Admitting {
  readonly admission: Admission
  readonly mutation: Mutation
  readonly bodies: ReviewBodies
  readonly denials?: DenialEvents
}

/** @throws StartError where it needs a cluster and is in none. */
export async function makeAdmitting({ config, clock, log, onReload }: Parts): Promise<Admitting> {
  const bounds = { imagesMax: limits.reviewImagesMax, groupsMax: limits.reviewGroupsMax }
  const admission = new Admission(makePolicy(config), bounds)
  onReload.push((changed) => admission.reload(makePolicy(changed)))
  const namespace = await findOwnNamespace(config.admission.serviceAccountDir)
  const mutation = new Mutation(makeMutation(config), bounds, namespace)
  onReload.push((changed) => mutation.reload(makeMutation(changed)))
  const denials = makeDenialEvents({ admission: config.admission, clock, log })
  const bodies = new ReviewBodies({ bytesMax: limits.reviewBodiesBytesMax })
  return { admission, mutation, bodies, ...(denials && { denials }) }
}

/** @returns undefined outside a cluster. */
async function findOwnNamespace(directory: string): Promise<string | undefined> {
  try {
    return (await readFile(join(directory, 'namespace'), 'utf8')).trim()
  } catch {
    return undefined
  }
}
