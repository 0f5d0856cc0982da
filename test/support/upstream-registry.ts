// Debian's docker-registry as another registry to pull from through the one under test: a process of
// its own on a free port, over plain HTTP or over HTTPS with a password file, whose access log says
// what it was asked for.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { IssuedCertificate } from './certificate.ts'
import { send } from './http-client.ts'
import type { Login } from './start-registry.ts'
import { getTool } from './tools.ts'

const execute = promisify(execFile)

const startDeadlineMs = 30_000
const logDeadlineMs = 10_000

export interface UpstreamOptions {
  /** Where its files are made. */
  readonly directory: string
  /** Where it keeps what is pushed; several at a time may read from the same one. */
  readonly storage: string
  readonly tls?: IssuedCertificate
  /** Without it everybody may do everything. */
  readonly login?: Login
  /** A page of its list of repositories has no more, and more may not be asked for. */
  readonly catalogEntriesMax?: number
}

/** A line of the access log. */
export interface LoggedRequest {
  readonly method: string
  readonly path: string
  readonly status: number
}

/** A running registry to pull from, of whatever make. */
export interface Upstream extends AsyncDisposable {
  /** `127.0.0.1:4711` */
  readonly host: string
  /** What it was asked for since the last call; all that was answered before this one is in it. */
  takeRequests(): Promise<readonly LoggedRequest[]>
  /** It is gone at once, and its port refuses connections. */
  kill(): Promise<void>
}

export async function startUpstream(options: UpstreamOptions): Promise<Upstream> {
  const directory = await mkdtemp(join(options.directory, 'upstream-'))
  const config = join(directory, 'config.json')
  await writeFile(config, JSON.stringify(await writeConfig(directory, options)))
  const child = spawn(getTool('docker-registry'), ['serve', config], {
    env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const registry = new UpstreamRegistry(child, options.tls)
  try {
    await registry.ready()
    return registry
  } catch (error) {
    await registry.kill()
    throw error
  }
}

/** Its configuration is YAML, so JSON will do. */
async function writeConfig(
  directory: string,
  { storage, tls, login, catalogEntriesMax }: UpstreamOptions,
): Promise<object> {
  const files = {
    certificate: join(directory, 'cert.pem'),
    key: join(directory, 'key.pem'),
    passwords: join(directory, 'htpasswd'),
  }
  if (tls) {
    await writeFile(files.certificate, tls.cert)
    await writeFile(files.key, tls.key)
  }
  if (login) await writeFile(files.passwords, await passwordLine(login))
  return {
    version: '0.1',
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: storage } },
    http: {
      addr: '127.0.0.1:0',
      secret: 'of no use to anybody',
      ...(tls && { tls: { certificate: files.certificate, key: files.key } }),
    },
    ...(catalogEntriesMax && { catalog: { maxentries: catalogEntriesMax } }),
    ...(login && { auth: { htpasswd: { realm: 'upstream', path: files.passwords } } }),
  }
}

/** `name:hash`, with bcrypt. */
export async function passwordLine({ name, password }: Login): Promise<string> {
  const args = ['-B', '-C', '5', '-b', '-n', name, password]
  return (await execute(getTool('htpasswd'), args)).stdout
}

class UpstreamRegistry implements Upstream {
  readonly #child: ChildProcess
  readonly #tls: IssuedCertificate | undefined
  readonly #exit: Promise<unknown>
  readonly #said: string[] = []
  #requests: LoggedRequest[] = []
  #wake = Promise.withResolvers<void>()
  #host = ''
  #marks = 0

  constructor(child: ChildProcess, tls: IssuedCertificate | undefined) {
    this.#child = child
    this.#tls = tls
    this.#exit = new Promise((resolve) => {
      child.once('close', resolve)
      child.once('error', resolve)
    })
    void this.#exit.then(() => this.#announce())
    const { stdout, stderr } = child
    assert.ok(stdout && stderr)
    createInterface({ input: stdout }).on('line', (line) => this.#logged(line))
    createInterface({ input: stderr }).on('line', (line) => this.#spoke(line))
  }

  /** `127.0.0.1:4711` */
  get host(): string {
    return this.#host
  }

  async ready(): Promise<void> {
    await this.#until(() => this.#host !== '', startDeadlineMs)
  }

  async takeRequests(): Promise<LoggedRequest[]> {
    const mark = `/v2/?mark=${(this.#marks += 1)}`
    const scheme = this.#tls ? 'https' : 'http'
    await send('GET', new URL(mark, `${scheme}://${this.#host}`), {}, this.#tls ?? {})
    const isMark = ({ path }: LoggedRequest) => path === mark
    await this.#until(() => this.#requests.some(isMark), logDeadlineMs)
    const taken = this.#requests.filter((request) => !isMark(request))
    this.#requests = []
    return taken
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  /** The combined log format: `... "GET /v2/ HTTP/1.1" 200 2 ...` */
  #logged(line: string): void {
    const match = / "(?<method>[A-Z]+) (?<path>\S+) HTTP\/[0-9.]+" (?<status>\d+) /.exec(line)
    const { method, path, status } = match?.groups ?? {}
    if (method === undefined || path === undefined) return
    this.#requests.push({ method, path, status: Number(status) })
    this.#announce()
  }

  #spoke(line: string): void {
    if (this.#host !== '') return
    this.#said.push(line)
    this.#host = /msg="listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1] ?? ''
    this.#announce()
  }

  #announce(): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers<void>()
  }

  async #until(holds: () => boolean, deadlineMs: number): Promise<void> {
    const late = Promise.withResolvers<never>()
    // It loses its race against what was waited for.
    late.promise.catch(() => undefined)
    const timer = setTimeout(() => late.reject(this.#failure('says nothing in time')), deadlineMs)
    try {
      while (!holds()) {
        if (this.#hasExited()) throw this.#failure('has ended')
        await Promise.race([this.#wake.promise, late.promise])
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #hasExited(): boolean {
    const { exitCode, signalCode, pid } = this.#child
    return exitCode !== null || signalCode !== null || pid === undefined
  }

  #failure(what: string): Error {
    return new Error(`docker-registry ${what}: ${this.#said.join('\n')}`)
  }
}
