/**
 * A value that must not be shown. Whatever prints, logs or serialises it gets `[secret]`; only
 * `reveal()` gives the value, so every place that uses it can be found by that name.
 */
import { inspect } from 'node:util'

const hidden = '[secret]'

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  toString(): string {
    return hidden
  }

  toJSON(): string {
    return hidden
  }

  [inspect.custom](): string {
    return hidden
  }
}
