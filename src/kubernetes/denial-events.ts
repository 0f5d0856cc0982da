/**
 * Tells of refused images where people look for them, in Events of the namespace (`kubectl describe`,
 * `kubectl get events`). It is best effort: no answer waits for an event, the same one is sent once in a
 * while only, and a storm of refusals makes a bounded number of them.
 */
import { hostname } from 'node:os'
import type { Denial } from '../admission/denial.ts'
import { LruCache } from '../lib/lru-cache.ts'
import type { Clock } from '../registry/ports/clock.ts'
import type { KubernetesApi } from './kubernetes-api.ts'

interface Parts {
  readonly api: Pick<KubernetesApi, 'create'>
  readonly clock: Clock
  readonly log: { warn(fields: object, message: string): void }
}

export interface EventSettings {
  /** The same event is not sent again for so long. */
  readonly repeatSeconds: number
  readonly rememberedMax: number
  readonly perMinuteMax: number
  readonly atOnceMax: number
}

/** What became of denials since the start. */
export type EventCounts = Readonly<Record<'sent' | 'failed' | 'dropped', number>>

/** The API takes 1024 bytes. */
const messageBytesMax = 1024

export class DenialEvents {
  readonly #parts: Parts
  readonly #settings: EventSettings
  readonly #sentAt: LruCache<string, number>
  #minute = { began: 0, sent: 0 }
  #underWay = 0
  #counts = { sent: 0, failed: 0, dropped: 0 }

  constructor(parts: Parts, settings: EventSettings) {
    this.#parts = parts
    this.#settings = settings
    this.#sentAt = new LruCache({ entriesMax: settings.rememberedMax })
  }

  get counts(): EventCounts {
    return this.#counts
  }

  /** Never throws, and waits for nothing. */
  tell(denial: Denial): void {
    const now = this.#parts.clock.now()
    const { namespace, about, message } = denial
    const key = JSON.stringify([namespace, about.kind, about.name, message])
    const before = this.#sentAt.get(key)
    if (before !== undefined && now - before < this.#settings.repeatSeconds * 1000) return
    if (!this.#hasTurn(now)) {
      this.#counts.dropped += 1
      return
    }
    this.#sentAt.set(key, now)
    void this.#send(denial, new Date(now).toISOString())
  }

  #hasTurn(now: number): boolean {
    if (this.#underWay >= this.#settings.atOnceMax) return false
    if (Math.abs(now - this.#minute.began) >= 60_000) this.#minute = { began: now, sent: 0 }
    if (this.#minute.sent >= this.#settings.perMinuteMax) return false
    this.#minute.sent += 1
    return true
  }

  async #send({ namespace, about, message }: Denial, time: string): Promise<void> {
    this.#underWay += 1
    try {
      await this.#parts.api.create(`/api/v1/namespaces/${encodeURIComponent(namespace)}/events`, {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { generateName: 'image-denied-', namespace },
        involvedObject: { ...about, namespace },
        type: 'Warning',
        reason: 'ImageDenied',
        message: cut(message),
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
        source: { component: 'trow' },
        reportingComponent: 'trow.io/webhook',
        reportingInstance: hostname(),
      })
      this.#counts.sent += 1
    } catch (error) {
      this.#counts.failed += 1
      const told =
        'an Event for a refused image could not be made; may the service account create events?'
      this.#parts.log.warn({ err: error, namespace }, told)
    } finally {
      this.#underWay -= 1
    }
  }
}

function cut(message: string): string {
  const bytes = Buffer.from(message)
  if (bytes.length <= messageBytesMax) return message
  return `${bytes
    .subarray(0, messageBytesMax - 4)
    .toString('utf8')
    .replace(/\ufffd+$/, '')}…`
}
