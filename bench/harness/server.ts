// A server under measurement: a process with its log in a file (a log read by this process would cost
// the processor time that is being measured), what it has used of the machine, and its end.

import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Command, start } from './programs.ts'

const startSecondsMax = 30
const stopSecondsMax = 20
const pollMs = 20
/** Of `utime` and `stime`; the same on every Linux that there is. */
const ticksPerSecond = 100

export interface ServerCommand extends Command {
  readonly name: string
  /** Of all that it writes, its log for one. */
  readonly home: string
  /** The server's URL as its log tells it, or as it is known before. */
  readonly findUrl: (log: string) => string | undefined
}

export interface MemoryUse {
  readonly residentBytes: number
  /** Without the pages of files, which the kernel takes back when it needs them. */
  readonly anonymousBytes: number
}

export class Server implements AsyncDisposable {
  readonly name: string
  /** May be removed when it has stopped. */
  readonly directory: string
  readonly #logFile: string
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  #url = ''
  #logRead = 0

  private constructor(command: ServerCommand) {
    this.name = command.name
    this.directory = command.home
    this.#logFile = join(command.home, 'log')
    const log = openSync(this.#logFile, 'a')
    this.#child = start(command, ['ignore', log, log])
    closeSync(log)
    this.#exit = new Promise((resolve) => {
      this.#child.once('exit', resolve).once('error', resolve)
    })
  }

  /** Resolves when it answers `/v2/`. */
  static async start(command: ServerCommand): Promise<Server> {
    const server = new Server(command)
    try {
      await server.#ready(command.findUrl)
      return server
    } catch (error) {
      await server.kill()
      throw error
    }
  }

  /** `http://127.0.0.1:4711` */
  get url(): string {
    return this.#url
  }

  /** `127.0.0.1:4711` */
  get host(): string {
    return new URL(this.#url).host
  }

  /** Of user and system time, in hundredths of a second. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8')
    // The name in parentheses may hold spaces; `utime` and `stime` are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
  }

  memory(): MemoryUse {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')
    const bytes = (name: string): number =>
      1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN)
    return { residentBytes: bytes('VmRSS'), anonymousBytes: bytes('RssAnon') }
  }

  /** What it has logged since the last call. */
  takeLog(): string {
    const log = readFileSync(this.#logFile)
    const news = log.subarray(this.#logRead).toString()
    this.#logRead = log.length
    return news
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async stop(): Promise<void> {
    this.signal('SIGTERM')
    const timer = setTimeout(() => this.signal('SIGKILL'), stopSecondsMax * 1000)
    await this.#exit
    clearTimeout(timer)
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exit
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasExited()) await this.kill()
  }

  async #ready(findUrl: ServerCommand['findUrl']): Promise<void> {
    const end = performance.now() + startSecondsMax * 1000
    for (;;) {
      const log = readFileSync(this.#logFile, 'utf8')
      if (this.#hasExited()) throw new Error(`${this.name} has ended: ${log.slice(-2_000)}`)
      this.#url = findUrl(log) ?? ''
      if (this.#url !== '' && (await answers(`${this.#url}/v2/`))) return
      if (performance.now() > end) throw new Error(`${this.name} does not start: ${log}`)
      await delay(pollMs)
    }
  }

  #hasExited(): boolean {
    const { exitCode, signalCode, pid } = this.#child
    return exitCode !== null || signalCode !== null || pid === undefined
  }
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    request(url, { agent: false }, (response) => {
      response.resume()
      resolve(true)
    })
      .on('error', () => resolve(false))
      .end()
  })
}
