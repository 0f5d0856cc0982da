/**
 * The time that an upstream has to say whether a tag has moved, while there is a copy to serve in its
 * place. One that lets it pass has failed, and not merely been left: so its breaker counts that, and
 * an upstream that says nothing at all does not cost each pull the same wait.
 */
import { UpstreamError } from '../oci/upstream-error.ts'

export class CheckDeadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout

  constructor(host: string, seconds: number) {
    const problem = `${host} did not answer within ${seconds} s`
    const error = new UpstreamError(problem, { host, problem: 'timeout', retryable: true })
    this.#timer = setTimeout(() => this.#controller.abort(error), seconds * 1000)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
