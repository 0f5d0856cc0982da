/**
 * The mutating webhook, `POST /mutate-image`: has the nodes pull through this registry, and pins tags.
 * It lets everything pass: what may run is for the validating webhook to say.
 */
import type { JudgedImage } from '../../admission/judged-image.ts'
import type { Mutation } from '../../admission/mutation.ts'
import type { Digest } from '../../oci/digest.ts'
import type { RequestContext } from '../../registry/request-context.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Exchange, Route } from '../exchange.ts'
import type { Reply } from '../reply.ts'
import { readReview, type ReviewBodies } from '../review-request.ts'

export interface MutationVerbs {
  readonly mutation: Mutation
  readonly metrics: Metrics
  readonly bodies: ReviewBodies
  /** Absent where there is no cache to ask. */
  readonly tagDigests?: TagDigests
}

export interface TagDigests {
  /** @returns undefined when it is not known within `seconds`. Never rejects. */
  find(context: RequestContext, image: JudgedImage, seconds: number): Promise<Digest | undefined>
}

export function mutationRoutes(verbs: MutationVerbs): Route[] {
  const post = {
    access: 'public',
    handle: (exchange: Exchange) => mutateImage(verbs, exchange),
  } as const
  return [{ name: 'mutation', pattern: '/mutate-image', endpoints: { POST: post } }]
}

/** Of the time that the API server waits, for asking other registries what tags are. */
const shareForTags = 0.5

async function mutateImage(verbs: MutationVerbs, exchange: Exchange): Promise<Reply> {
  const { mutation, metrics, tagDigests } = verbs
  using review = await readReview(exchange, verbs.bodies)
  const ends = performance.now() + review.seconds * 1000 * shareForTags
  const resolve = async (image: JudgedImage): Promise<Digest | undefined> => {
    const seconds = (ends - performance.now()) / 1000
    return seconds > 0 ? tagDigests?.find(exchange.context, image, seconds) : undefined
  }
  const { answer, outcome } = await mutation.answer(review.bytes, resolve)
  metrics.countMutation(outcome)
  return {
    status: 200,
    headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
    body: JSON.stringify(answer),
  }
}
