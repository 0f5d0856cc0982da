// Amazon's ECR as far as a login goes: the API that hands out passwords, and what private registries
// make of them.

import type { Answer, Behaviour, FakeRequest } from './fake-upstream.ts'
import { errorAnswer } from './fake-upstream-content.ts'

const target = 'AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken'

export class FakeEcr {
  /** Regions that a password was asked for, as the signatures name them. */
  readonly regions: string[] = []
  /** Tokens of service accounts that a role was asked for with. */
  readonly identities: string[] = []
  #handedOut = 0
  #expiredUpTo = 0

  /** For the fake upstream that stands for the API. */
  readonly api: Behaviour = ({ headers, method, body }) => {
    const form = new URLSearchParams(body.toString())
    if (form.get('Action') === 'AssumeRoleWithWebIdentity') return this.#assumeRole(form)
    if (method !== 'POST' || headers['x-amz-target'] !== target) return errorAnswer(400, 'UNKNOWN')
    const [, region = ''] =
      /\/\d{8}\/([^/]+)\/ecr\/aws4_request/.exec(headers.authorization ?? '') ?? []
    this.regions.push(region)
    this.#handedOut += 1
    const authorizationToken = Buffer.from(`AWS:${passwordOf(this.#handedOut)}`).toString('base64')
    const expiresAt = Math.floor(Date.now() / 1000) + 12 * 3600
    return amazonAnswer(200, { authorizationData: [{ authorizationToken, expiresAt }] })
  }

  /** As STS does it. */
  #assumeRole(form: URLSearchParams): Answer {
    this.identities.push(form.get('WebIdentityToken') ?? '')
    const expiration = new Date(Date.now() + 3600 * 1000).toISOString()
    const text =
      '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">' +
      '<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>' +
      '<SecretAccessKey>sts-secret</SecretAccessKey><SessionToken>sts-session</SessionToken>' +
      `<Expiration>${expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>` +
      '</AssumeRoleWithWebIdentityResponse>'
    return { status: 200, headers: { 'content-type': 'text/xml' }, body: Buffer.from(text) }
  }

  /** The next password, without the API. */
  handOut(): string {
    this.#handedOut += 1
    return passwordOf(this.#handedOut)
  }

  /** For those that stand for private registries. */
  readonly registry: Behaviour = (request, next) => {
    const password = Number(/^AWS:password-(\d+)$/.exec(basicOf(request))?.[1])
    if (Number.isNaN(password)) {
      const challenge = 'Basic realm="https://ecr.example/",service="ecr.amazonaws.com"'
      return errorAnswer(401, 'UNAUTHORIZED', { 'www-authenticate': challenge })
    }
    return password <= this.#expiredUpTo ? errorAnswer(403, 'DENIED') : next()
  }

  /** What was handed out so far is no longer taken. */
  expireAll(): void {
    this.#expiredUpTo = this.#handedOut
  }
}

/** The API's refusal. */
export function amazonError(type: string, message: string): Behaviour {
  return () => amazonAnswer(400, { __type: type, message })
}

function amazonAnswer(status: number, body: object) {
  const headers = { 'content-type': 'application/x-amz-json-1.1' }
  return { status, headers, body: Buffer.from(JSON.stringify(body)) }
}

function basicOf({ headers }: FakeRequest): string {
  const [scheme, text = ''] = (headers.authorization ?? '').split(' ')
  return scheme === 'Basic' ? Buffer.from(text, 'base64').toString() : ''
}

function passwordOf(number: number): string {
  return `password-${number}`
}
