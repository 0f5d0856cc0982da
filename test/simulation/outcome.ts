// What came of a step, on the registry's side and on the model's, and whether the two agree.

import { OciError } from '../../src/oci/errors.ts'
import { InjectedFault } from '../support/faulty-stores.ts'
import { Refusal } from './model.ts'

/** What a client does that goes away in the middle of its body. */
export const clientGone = new Error('the client went away')

export type Outcome<T> = { readonly value: T } | { readonly error: unknown }

export async function outcomeOf<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await work() }
  } catch (error) {
    return { error }
  }
}

export function isInjected(error: unknown): boolean {
  return error instanceof OciError && error.cause instanceof InjectedFault
}

/** In one word: what both sides must agree on. */
export function describe(outcome: Outcome<unknown>): string {
  if ('value' in outcome) return 'done'
  const { error } = outcome
  if (error === clientGone) return 'client gone'
  if (error instanceof OciError || error instanceof Refusal) return error.code
  throw error
}
