/**
 * The verbs of admission: a review answered from its bytes, and a pull judged. It holds the policy in
 * force, which a reload replaces; a review that has begun ends under the policy it began with.
 */
import type { RegistryHost } from '../oci/image-reference.ts'
import { isDigestReference, type Reference } from '../oci/reference.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import {
  type AdmissionRequest,
  readAdmissionRequest,
  type RequestBounds,
  type UnreadableReview,
} from './admission-request.ts'
import { makeJudgedImage } from './judged-image.ts'
import { findReviewHead } from './partial-review.ts'
import type { Judgement, Policy } from './policy.ts'
import type { PolicyMode } from './policy-settings.ts'
import { answerReview, answerUnreadable } from './review-answer.ts'
import { type Review, type ReviewBounds, reviewRequest } from './review.ts'

export type AdmissionBounds = RequestBounds & ReviewBounds

export interface Answered {
  /** The AdmissionReview to answer with. */
  readonly answer: object
  readonly outcome:
    | { readonly request: AdmissionRequest; readonly review: Review }
    | { readonly unreadable: UnreadableReview }
}

/** What is pulled, under one of its names. */
export interface PulledName {
  readonly registry: RegistryHost
  readonly repository: RepositoryName
}

export interface PullRefusal {
  readonly judgement: Judgement
  /** In other modes than `enforce` the pull goes on. */
  readonly mode: PolicyMode
}

export class Admission {
  readonly #bounds: AdmissionBounds
  #policy: Policy | undefined

  /** @param policy undefined where none is configured: then no review is allowed. */
  constructor(policy: Policy | undefined, bounds: AdmissionBounds) {
    this.#policy = policy
    this.#bounds = bounds
  }

  reload(policy: Policy | undefined): void {
    this.#policy = policy
  }

  answer(bytes: Uint8Array): Answered {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
    let body: unknown
    try {
      body = JSON.parse(text)
    } catch {
      return unreadable({ ...findReviewHead(text), problem: 'it is no JSON' })
    }
    const request = readAdmissionRequest(body, this.#bounds)
    if ('problem' in request) return unreadable(request)
    const review = reviewRequest(request, this.#policy, this.#bounds)
    return { answer: answerReview(request, review), outcome: { request, review } }
  }

  /**
   * Refuses a review of which only the beginning is there.
   * @param code HTTP status that says why.
   */
  refusePart(bytes: Uint8Array, problem: string, code: number): Answered {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
    return unreadable({ ...findReviewHead(text), problem }, code)
  }

  /**
   * @param namesOf asked only where pulls are judged
   * @returns undefined where the image may be pulled.
   */
  findPullRefusal(
    namesOf: () => readonly PulledName[],
    reference: Reference,
  ): PullRefusal | undefined {
    const policy = this.#policy
    if (!policy?.settings.enforceAtPull) return undefined
    const isDigest = isDigestReference(reference)
    const which = isDigest ? { digest: reference } : { tag: reference }
    const images = namesOf().map((name) => makeJudgedImage({ ...name, ...which }))
    const judgement = policy.judgePull(images, isDigest)
    return judgement && { judgement, mode: policy.settings.mode }
  }
}

function unreadable(review: UnreadableReview, code?: number): Answered {
  return { answer: answerUnreadable(review, code), outcome: { unreadable: review } }
}
