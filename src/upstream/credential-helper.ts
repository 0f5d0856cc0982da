/**
 * Credential helpers: programs named `docker-credential-<name>` that are asked on standard input
 * (docker-credential-helpers, "Development"). One gets a bounded time and a bounded answer.
 */
import { spawn } from 'node:child_process'
import { limits } from '../config/limits.ts'
import { isRecord } from '../oci/descriptor.ts'
import { dockerHub, type RegistryHost } from '../oci/image-reference.ts'
import { type Credentials, IdentityToken, PasswordCredentials } from './credentials.ts'

/** Credentials cannot be read; the message says from where, and holds none of them. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError'
}

export interface HelperOptions {
  /** Its PATH is where the helper is looked for. */
  readonly environment: NodeJS.ProcessEnv
  readonly secondsMax?: number
  readonly signal: AbortSignal
}

/** @returns undefined when the helper has none for this registry. */
export async function askCredentialHelper(
  name: string,
  registry: RegistryHost,
  options: HelperOptions,
): Promise<Credentials | undefined> {
  const program = `docker-credential-${name}`
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new CredentialsError(`the credential helper ${JSON.stringify(name)} is no program's name`)
  }
  const { code, output } = await runHelper(program, serverUrl(registry), options)
  if (code === 0) return parseAnswer(program, output)
  if (/not found/i.test(output)) return undefined
  throw new CredentialsError(`the credential helper ${program} failed for ${registry}`)
}

function serverUrl(registry: RegistryHost): string {
  return registry === dockerHub ? 'https://index.docker.io/v1/' : registry
}

async function runHelper(
  program: string,
  input: string,
  { environment, secondsMax = limits.credentialHelperSecondsMax, signal }: HelperOptions,
): Promise<{ code: number | null; output: string }> {
  const timeout = AbortSignal.timeout(secondsMax * 1000)
  const child = spawn(program, ['get'], {
    env: environment,
    stdio: ['pipe', 'pipe', 'ignore'],
    signal: AbortSignal.any([signal, timeout]),
  })
  const closed = Promise.withResolvers<number | null>()
  child.on('close', closed.resolve)
  child.on('error', closed.reject)
  // A helper that reads nothing may be gone before its input is written.
  child.stdin.on('error', () => undefined).end(input)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (output.length > limits.credentialHelperBytesMax) closed.reject(new Error('too much'))
  })
  try {
    return { code: await closed.promise, output }
  } catch (cause) {
    signal.throwIfAborted()
    const problem = timeout.aborted ? `gave no answer in ${secondsMax} s` : 'cannot be run'
    throw new CredentialsError(`the credential helper ${program} ${problem}`, { cause })
  } finally {
    // The pipe too, as a process that the helper started may still write to it.
    child.stdout.destroy()
    child.kill()
  }
}

function parseAnswer(program: string, output: string): Credentials | undefined {
  let answer: unknown
  try {
    answer = JSON.parse(output)
  } catch {
    // The parser's message would quote the answer, which is a secret.
  }
  if (!isRecord(answer)) throw new CredentialsError(`${program} answered no JSON object`)
  const { Username: username, Secret: secret } = answer
  if (typeof username !== 'string' || typeof secret !== 'string' || secret === '') return undefined
  return username === '<token>'
    ? new IdentityToken(secret)
    : new PasswordCredentials(username, secret)
}
