/**
 * A bound on how long an upstream may take to begin to answer. What it then sends may take as long
 * as the caller's own signal lets it.
 */
import { UpstreamError } from '../oci/upstream-error.ts'

/** @throws UpstreamError `timeout` through the signal that `work` gets. */
export async function answerWithin<T>(
  seconds: number,
  { host, signal }: { readonly host: string; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const timer = setTimeout(() => {
    const problem = `${host} did not answer within ${seconds} s`
    controller.abort(new UpstreamError(problem, { host, problem: 'timeout', retryable: true }))
  }, seconds * 1000)
  try {
    return await work(AbortSignal.any([signal, controller.signal]))
  } finally {
    clearTimeout(timer)
  }
}
