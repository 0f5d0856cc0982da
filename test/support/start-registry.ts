// The real program as its own process, for tests that see nothing of it but its sockets, its log, its
// data directory and its exit code: `await using registry = await startRegistry(options)`.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { Agent as PlainAgent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Reply, type RequestOptions, send } from './http-client.ts'
import type { Content, ImageFixture } from './image-fixture.ts'

const checkout = fileURLToPath(new URL('../../bin/trow', import.meta.url))
const logDeadlineMs = 30_000
const exitDeadlineMs = 40_000

export interface Login {
  readonly name: string
  readonly password: string
}

export interface RegistryOptions {
  /** `webhook` is the program without a registry. */
  readonly command?: 'serve' | 'webhook'
  readonly user?: Login
  readonly anonymousPull?: boolean
  /** PEM. `ca` is what requests trust. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string }
  /** Text of the configuration file. */
  readonly config?: string
  /** One that is kept; a new one is made, and removed at the end, when absent. */
  readonly dataDirectory?: string
  readonly flags?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** The launcher of another build of the program. */
  readonly program?: string
  /** A command that becomes the program, as `setpriv` does, with its arguments. */
  readonly wrapper?: readonly string[]
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string }

export interface RegistryRequest extends RequestOptions {
  /** Without the login that the registry was started with. */
  readonly anonymous?: boolean
}

export async function startRegistry(options: RegistryOptions = {}): Promise<Registry> {
  const directory = await mkdtemp(join(tmpdir(), 'trow-registry-'))
  const registry = new Registry(directory, options)
  try {
    await registry.start()
    return registry
  } catch (error) {
    await registry[Symbol.asyncDispose]()
    throw error
  }
}

export function basicHeader({ name, password }: Login): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
}

export class Registry implements AsyncDisposable {
  readonly dataDirectory: string
  readonly certFile: string
  readonly keyFile: string
  readonly configFile: string
  readonly #directory: string
  readonly #lines: string[] = []
  readonly #waiting = new Set<() => void>()
  #options: RegistryOptions
  #child: ChildProcess | undefined
  /** It was asked to end: asking again would be another request, to end at once. */
  #isEnding = false
  #exit: Promise<number | null> = Promise.resolve(null)
  #agent: PlainAgent | SecureAgent = new PlainAgent()
  #url = ''

  constructor(directory: string, options: RegistryOptions) {
    this.#directory = directory
    this.#options = options
    this.dataDirectory = options.dataDirectory ?? join(directory, 'data')
    this.certFile = join(directory, 'cert.pem')
    this.keyFile = join(directory, 'key.pem')
    this.configFile = join(directory, 'trow.yaml')
  }

  /** `http://127.0.0.1:4711` */
  get url(): string {
    return this.#url
  }

  /** `127.0.0.1:4711` */
  get host(): string {
    return new URL(this.#url).host
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Resolves with the exit code, null when a signal ended it. */
  get exit(): Promise<number | null> {
    return this.#exit
  }

  async start(): Promise<void> {
    await this.#writeFiles()
    const { environment = {}, program = checkout, wrapper = [] } = this.#options
    const [command = program, ...args] = [...wrapper, program, ...this.#arguments()]
    const child = spawn(command, args, {
      cwd: this.#directory,
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child = child
    this.#isEnding = false
    this.#exit = new Promise((resolve) => child.once('exit', resolve))
    const known = this.#lines.length
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => this.#heard(line))
    void this.#exit.then(() => this.#wake())
    const ready = await this.logged((line) => line.msg === 'ready', known)
    this.#url = String(ready['address'])
    const Agent = this.#options.tls === undefined ? PlainAgent : SecureAgent
    this.#agent = new Agent({ keepAlive: true })
  }

  /** @param path begins with `/`, or is a whole Location. */
  request(method: string, path: string, options: RegistryRequest = {}): Promise<Reply> {
    const { anonymous = false, headers = {}, ...rest } = options
    const { user, tls } = this.#options
    const authorization = user && !anonymous && { authorization: basicHeader(user) }
    return send(
      method,
      new URL(path, this.#url),
      { ...rest, headers: { ...authorization, ...headers } },
      { agent: this.#agent, ...(tls && { ca: tls.ca }) },
    )
  }

  /** Every line of the log that was an object, of all runs so far. */
  logs(): LogLine[] {
    return this.#lines
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine)
  }

  /** All that was written to standard output. */
  output(): string {
    return this.#lines.join('\n')
  }

  /** The first line of the log that fits, written already or to come. @param from index of a line. */
  async logged(fits: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    const end = performance.now() + logDeadlineMs
    for (;;) {
      const found = this.#lines
        .slice(from)
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as LogLine)
        .find(fits)
      if (found !== undefined) return found
      const left = end - performance.now()
      if (left <= 0 || this.#hasExited()) {
        throw new Error(`no such line in the log:\n${this.#lines.slice(-20).join('\n')}`)
      }
      await this.#nextLine(left)
    }
  }

  /** How many lines there are so far, for `logged`. */
  get logLength(): number {
    return this.#lines.length
  }

  signal(signal: NodeJS.Signals): void {
    this.#isEnding ||= signal !== 'SIGHUP'
    this.#child?.kill(signal)
  }

  /** Closes the connections that are kept open for further requests. */
  disconnect(): void {
    this.#agent.destroy()
  }

  /** Ends the process at once, as a power cut would, and waits for its end. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exit
    this.#agent.destroy()
  }

  /** Asks the process to end, and fails unless it does with exit code 0. */
  async stop(): Promise<void> {
    this.#agent.destroy()
    this.signal('SIGTERM')
    const timer = setTimeout(() => this.signal('SIGKILL'), exitDeadlineMs)
    const code = await this.#exit
    clearTimeout(timer)
    assert.equal(code, 0, `the registry ended with ${code}:\n${this.#lines.slice(-20).join('\n')}`)
  }

  /** Starts it again on the same data, with other options if some are given. */
  async restart(options: RegistryOptions = {}): Promise<void> {
    if (!this.#hasExited()) await this.stop()
    this.#options = { ...this.#options, ...options }
    await this.start()
  }

  /** Pushes an image in the way of most clients: blobs, then manifests, the last one by tag. */
  async push(repository: string, tag: string, image: ImageFixture): Promise<void> {
    for (const blob of image.blobs) await this.pushBlob(repository, blob)
    for (const manifest of image.manifests) {
      const isRoot = manifest.digest === image.root.digest
      await this.pushManifest(repository, isRoot ? tag : manifest.digest, manifest)
    }
  }

  async pushBlob(repository: string, blob: Pick<Content, 'digest' | 'bytes'>): Promise<void> {
    const started = await this.request('POST', `/v2/${repository}/blobs/uploads/`)
    assert.equal(started.status, 202, started.body.toString())
    const location = new URL(started.header('location'), this.#url)
    location.searchParams.set('digest', blob.digest)
    const done = await this.request('PUT', location.href, { body: blob.bytes })
    assert.equal(done.status, 201, done.body.toString())
  }

  async pushManifest(
    repository: string,
    reference: string,
    manifest: Pick<Content, 'bytes' | 'mediaType'>,
  ): Promise<Reply> {
    const done = await this.request('PUT', `/v2/${repository}/manifests/${reference}`, {
      body: manifest.bytes,
      headers: { 'content-type': manifest.mediaType },
    })
    assert.equal(done.status, 201, done.body.toString())
    return done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#isEnding) await this.kill()
      else if (!this.#hasExited()) await this.stop()
    } finally {
      rmSync(this.#directory, { recursive: true, force: true })
    }
  }

  #arguments(): string[] {
    const { command = 'serve', user, anonymousPull, tls, config, flags = [] } = this.#options
    return [
      command,
      ...(flags.includes('--bind') ? [] : ['--bind', '127.0.0.1:0']),
      ...(command === 'serve' ? ['--data-dir', this.dataDirectory] : []),
      '--log-format',
      'json',
      ...(user === undefined ? [] : [`--user=${user.name}`, `--password=${user.password}`]),
      ...(anonymousPull === true ? ['--anonymous-pull'] : []),
      ...(tls === undefined ? [] : [`--tls=${this.certFile},${this.keyFile}`]),
      ...(config === undefined ? [] : ['--config-file', this.configFile]),
      ...flags,
    ]
  }

  async #writeFiles(): Promise<void> {
    const { tls, config } = this.#options
    if (config !== undefined) await writeFile(this.configFile, config)
    if (tls === undefined) return
    await writeFile(this.certFile, tls.cert)
    await writeFile(this.keyFile, tls.key)
  }

  #hasExited(): boolean {
    const child = this.#child
    return child === undefined || child.exitCode !== null || child.signalCode !== null
  }

  #heard(line: string): void {
    this.#lines.push(line)
    this.#wake()
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }

  #nextLine(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#waiting.add(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
