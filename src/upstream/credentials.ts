/**
 * Credentials for one registry: a user with a password, or an identity token, which a token service
 * takes in exchange for access tokens. They never appear in a message, nor in `JSON.stringify`.
 */

export type Credentials = PasswordCredentials | IdentityToken

/** Credentials that are fetched when they are needed, and do not last. */
export interface CredentialSource {
  /**
   * @param refused those that the registry has just refused, so that others are wanted.
   * @returns the same again where it is of no use to fetch others.
   * @throws UpstreamError `login` when there are none to be had.
   */
  getCredentials(signal: AbortSignal, refused?: Credentials): Promise<Credentials>
}

export class PasswordCredentials {
  readonly username: string
  readonly #password: string

  constructor(username: string, password: string) {
    this.username = username
    this.#password = password
  }

  /** `Authorization: Basic` (RFC 7617), in UTF-8. */
  toBasic(): string {
    return `Basic ${Buffer.from(`${this.username}:${this.#password}`).toString('base64')}`
  }
}

export class IdentityToken {
  readonly #token: string

  constructor(token: string) {
    this.#token = token
  }

  /** For the body of a token request, and for nothing else. */
  reveal(): string {
    return this.#token
  }
}
