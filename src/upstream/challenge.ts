/**
 * Challenges of `WWW-Authenticate` (RFC 9110, 11.6.1): a list of schemes, each with a token or with
 * parameters, all separated by commas. Any text can be parsed: what makes no sense is skipped.
 */
import { limits } from '../config/limits.ts'

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string
  /** By lower-case name; of two with one name the first counts. */
  readonly parameters: ReadonlyMap<string, string>
}

const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
const quotedString = /"((?:[^"\\]|\\.)*)"/sy
/** `token68`, which takes the place of parameters (`Negotiate YII...=`). */
const token68 = /[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y
const equals = /[ \t]*=[ \t]*/y
const spaces = /[ \t]+/y
const separators = /[ \t,]+/y

export function parseChallenges(header: string): Challenge[] {
  const text = new Scanner(header)
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  while (!text.isAtEnd() && challenges.length <= limits.upstreamChallengesMax) {
    text.take(separators)
    const name = text.take(token)?.toLowerCase()
    if (name === undefined) {
      text.skipToComma()
    } else if (text.take(equals) === undefined) {
      challenges.push({ scheme: name, parameters: new Map() })
      if (text.take(spaces) !== undefined) text.take(token68)
    } else {
      const value = text.takeQuoted() ?? text.take(token) ?? ''
      const { parameters } = challenges.at(-1) ?? { parameters: new Map<string, string>() }
      if (!parameters.has(name)) parameters.set(name, value)
      text.skipToComma()
    }
  }
  return challenges.slice(0, limits.upstreamChallengesMax)
}

export function findChallenge(
  challenges: readonly Challenge[],
  scheme: 'basic' | 'bearer',
): Challenge | undefined {
  return challenges.find((challenge) => challenge.scheme === scheme)
}

class Scanner {
  readonly #text: string
  #position = 0

  constructor(text: string) {
    this.#text = text
  }

  isAtEnd(): boolean {
    return this.#position >= this.#text.length
  }

  take(pattern: RegExp): string | undefined {
    return this.#match(pattern)?.[0]
  }

  takeQuoted(): string | undefined {
    return this.#match(quotedString)?.[1]?.replaceAll(/\\(.)/gs, '$1')
  }

  /** Past whatever stands before the next comma. */
  skipToComma(): void {
    const comma = this.#text.indexOf(',', this.#position)
    this.#position = comma < 0 ? this.#text.length : comma
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#position
    const match = pattern.exec(this.#text)
    if (match !== null) this.#position = pattern.lastIndex
    return match
  }
}
