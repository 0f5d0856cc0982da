/**
 * Changes the images of pods so that nodes pull them through this registry: `nginx:1` becomes
 * `trow.example/f/docker.io/library/nginx:1`, and has its digest behind it where tags are pinned.
 * It is a convenience and no protection: what cannot be changed is let pass as it is, with a warning,
 * and the validating webhook judges what comes out. What was changed once is not changed again.
 */
import { createPatch, createTests } from 'rfc6902'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import { formatProxiedName, isProxiedName } from '../oci/proxied-name.ts'
import { isSameHost } from '../oci/same-host.ts'
import {
  type AdmissionRequest,
  fieldOf,
  readAdmissionRequest,
  type RequestBounds,
  type ReviewHead,
} from './admission-request.ts'
import { type ImageField, listImageFields } from './image-fields.ts'
import { formatJudgedImage, type JudgedImage, parseJudgedImage } from './judged-image.ts'
import type { MutationSettings } from './mutation-settings.ts'
import { answerMutation } from './mutation-answer.ts'

/** The digest that a tag has now; undefined where that is not to be found out in time. */
export type ResolveTag = (image: JudgedImage) => Promise<Digest | undefined>

export interface MutationBounds extends RequestBounds {
  readonly imagesMax: number
}

export type MutationOutcome = 'changed' | 'unchanged' | 'unreadable'

export interface Mutated {
  /** The AdmissionReview to answer with. */
  readonly answer: object
  readonly outcome: MutationOutcome
}

interface Change {
  readonly field: string
  readonly from: string
  readonly to: string
}

export class Mutation {
  readonly #bounds: MutationBounds
  readonly #ownNamespace: string | undefined
  #settings: MutationSettings | undefined

  /**
   * @param settings undefined where nothing is to be changed
   * @param ownNamespace whose pods, this registry's own among them, must start without it
   */
  constructor(
    settings: MutationSettings | undefined,
    bounds: MutationBounds,
    ownNamespace?: string,
  ) {
    this.#settings = settings
    this.#bounds = bounds
    this.#ownNamespace = ownNamespace
  }

  reload(settings: MutationSettings | undefined): void {
    this.#settings = settings
  }

  async answer(bytes: Uint8Array, resolve: ResolveTag): Promise<Mutated> {
    const request = readAdmissionRequest(parseJson(bytes), this.#bounds)
    if ('problem' in request) {
      return {
        answer: answerMutation(request, { warnings: [`images not changed: ${request.problem}`] }),
        outcome: 'unreadable',
      }
    }
    return this.#mutate(request, request, resolve)
  }

  async #mutate(
    head: ReviewHead,
    request: AdmissionRequest,
    resolve: ResolveTag,
  ): Promise<Mutated> {
    const settings = this.#settings
    if (settings === undefined || !this.#isMeant(request)) {
      return { answer: answerMutation(head, {}), outcome: 'unchanged' }
    }
    const warnings: string[] = []
    const changes: Change[] = []
    for (const { field, image } of introducedImages(request, this.#bounds.imagesMax)) {
      if (image === undefined) continue
      const { to, warning } = await rewrite(image, settings, resolve)
      if (warning !== undefined) warnings.push(`${field}: ${warning}`)
      if (to !== undefined && to !== image) changes.push({ field, from: image, to })
    }
    if (changes.length === 0)
      return { answer: answerMutation(head, { warnings }), outcome: 'unchanged' }
    return {
      answer: answerMutation(head, { warnings, patch: patchOf(changes) }),
      outcome: 'changed',
    }
  }

  /** Pods alone: what makes pods keeps the images that its author wrote. */
  #isMeant({ group, kind, operation, namespace, object }: AdmissionRequest): boolean {
    if (group !== '' || kind !== 'Pod') return false
    if (operation !== 'CREATE' && operation !== 'UPDATE') return false
    if (namespace !== undefined && namespace === this.#ownNamespace) return false
    const labels = fieldOf(fieldOf(object, 'metadata'), 'labels')
    return fieldOf(labels, 'app.kubernetes.io/name') !== 'trow'
  }
}

/** What an update leaves as it is must stay so: a changed image restarts its container. */
function introducedImages(request: AdmissionRequest, imagesMax: number): ImageField[] {
  const { object, oldObject, operation } = request
  const { fields } = listImageFields(fieldOf(object, 'spec'), 'spec', imagesMax)
  if (operation !== 'UPDATE') return [...fields]
  const before = listImageFields(fieldOf(oldObject, 'spec'), 'spec', imagesMax).fields
  const known = new Set(before.map(({ image }) => image))
  return fields.filter(({ image }) => !known.has(image))
}

async function rewrite(
  text: string,
  settings: MutationSettings,
  resolve: ResolveTag,
): Promise<{ readonly to?: string; readonly warning?: string }> {
  try {
    const image = parseJudgedImage(text)
    if (settings.ignored.includes(`${image.host}/${image.repository}`)) return {}
    const isOwn = isSameHost(settings.registry, image.host)
    const isProxied = settings.upstreams.some((host) => isSameHost(host, image.host))
    if (!isOwn && !isProxied) return {}
    const { pinned, warning } = await pin(image, settings, resolve)
    const told = warning === undefined ? {} : { warning }
    if (isOwn) return pinned === image ? told : { to: formatJudgedImage(pinned), ...told }
    const suffix = formatJudgedImage(pinned).slice(`${image.host}/${image.repository}`.length)
    return { to: `${settings.registry}/${formatProxiedName(pinned)}${suffix}`, ...told }
  } catch (error) {
    // What cannot be read is not changed; what nodes make of it is theirs to say.
    if (error instanceof OciError) return {}
    throw error
  }
}

async function pin(
  image: JudgedImage,
  { pinDigests }: MutationSettings,
  resolve: ResolveTag,
): Promise<{ readonly pinned: JudgedImage; readonly warning?: string }> {
  if (!pinDigests || image.digest !== undefined) return { pinned: image }
  const digest = await resolve(image)
  if (digest !== undefined) return { pinned: { ...image, digest } }
  const shown = isProxiedName(image.repository) ? image.repository : formatJudgedImage(image)
  return { pinned: image, warning: `${shown} was not pinned: its digest is not known now` }
}

/**
 * Lists are written as objects keyed by index: the pointers are the same, and no entry can be taken for
 * another one. Each change is preceded by a test of what it replaces.
 */
function patchOf(changes: readonly Change[]): object[] {
  const [before, after] = [{}, {}]
  for (const { field, from, to } of changes) {
    const path = field.split(/[.[\]]+/).filter((step) => step !== '')
    setAt(before, path, from)
    setAt(after, path, to)
  }
  const patch = createPatch(before, after)
  return [...createTests(before, patch), ...patch]
}

function setAt(tree: object, path: readonly string[], value: string): void {
  let at = tree as Record<string, unknown>
  for (const step of path.slice(0, -1)) at = (at[step] ??= {}) as Record<string, unknown>
  at[path.at(-1) ?? ''] = value
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
}
