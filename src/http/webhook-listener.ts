/**
 * The listener for the webhooks alone. It begins with the first certificate, which may come later than
 * everything else, and takes each new one without failing a handshake.
 */
import { X509Certificate } from 'node:crypto'
import type { Log } from '../registry/request-context.ts'
import { type Certificate, Listener, type RequestListener } from './listener.ts'

interface Place {
  readonly host: string
  readonly port: number
}

export class WebhookListener {
  readonly #serve: RequestListener
  readonly #log: Log
  readonly #bind: Place
  #listener: Listener | undefined
  #notAfter: Date | undefined

  constructor(serve: RequestListener, log: Log, bind: Place) {
    this.#serve = serve
    this.#log = log
    this.#bind = bind
  }

  /** When the certificate that is served ends; undefined while there is none. */
  get notAfter(): Date | undefined {
    return this.#notAfter
  }

  /** @throws StartError when the first one cannot be served; when a later one cannot, the old one stays. */
  async useCertificate(certificate: Certificate): Promise<void> {
    const { validToDate } = new X509Certificate(certificate.cert)
    if (this.#listener === undefined) await this.#begin(certificate)
    else this.#listener.setCertificate(certificate)
    this.#notAfter = validToDate
  }

  async close(graceSeconds: number): Promise<void> {
    await this.#listener?.close(graceSeconds)
  }

  async #begin(certificate: Certificate): Promise<void> {
    const listener = new Listener(this.#serve, this.#log, certificate)
    const address = await listener.listen(this.#bind, '--admission-bind')
    this.#listener = listener
    this.#log.info({ address }, 'the webhooks are served')
  }
}
