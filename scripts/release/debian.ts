/**
 * The shared libraries that Node.js is linked with, from Debian's packages. Each is pinned by version
 * and digest in `docker/debian-packages.json`; apt gets them, for any architecture, without touching
 * what is installed on this machine.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, posix, resolve } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { extract } from 'tar-stream'
import type { ImageFile } from './layer.ts'

const run = promisify(execFile)
const pinsFile = resolve(import.meta.dirname, '../../docker/debian-packages.json')
const packagesBytesMax = 256 * 1024 * 1024

/** By architecture and name. */
type Pins = Record<string, Record<string, { readonly version: string; readonly sha256: string }>>

export interface DebianPackage {
  readonly name: string
  readonly version: string
  readonly architecture: string
  readonly sha256: string
  readonly files: readonly ImageFile[]
}

const names = ['libatomic1', 'libc6', 'libgcc-s1', 'libstdc++6', 'gcc-12-base'] as const

/** The loader, the libraries, and what their licences ask to be kept. */
const wanted = [
  /^lib64\/ld-linux/,
  /^lib\/ld-linux/,
  /^(?:usr\/)?lib\/[^/]+-linux-gnu\/(?:ld-linux[\w.-]*|lib(?:atomic|c|dl|gcc_s|m|pthread|stdc\+\+)\.so[.\d]*)$/,
  /^usr\/share\/doc\/(?:libc6|libatomic1|libgcc-s1|libstdc\+\+6|gcc-12-base)(?:\/copyright)?$/,
]

/** One private view of apt's world for an architecture. */
class Apt implements AsyncDisposable {
  readonly directory: string
  readonly #options: readonly string[]

  private constructor(directory: string, architecture: string) {
    this.directory = directory
    const settings = {
      'Dir::State': join(directory, 'state'),
      'Dir::State::status': '/dev/null',
      'Dir::Cache': join(directory, 'cache'),
      'APT::Architecture': architecture,
      'APT::Architectures': architecture,
      // The directory belongs to whoever builds, who may not be root.
      'APT::Sandbox::User': 'root',
    }
    this.#options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
  }

  static async open(architecture: string): Promise<Apt> {
    const directory = await mkdtemp(join(tmpdir(), 'trow-image-apt-'))
    for (const path of ['state/lists/partial', 'cache/archives/partial', 'packages']) {
      await mkdir(join(directory, path), { recursive: true })
    }
    const apt = new Apt(directory, architecture)
    await apt.#run('apt-get', ['-qq', 'update'])
    return apt
  }

  async download(specifications: readonly string[]): Promise<void> {
    await this.#run('apt-get', ['-qq', 'download', ...specifications])
  }

  async findVersion(name: string): Promise<string> {
    const { stdout } = await this.#run('apt-cache', ['show', '--no-all-versions', name])
    return /^Version: (\S+)$/m.exec(stdout)?.[1] ?? ''
  }

  async #run(program: string, args: readonly string[]): Promise<{ stdout: string }> {
    return await run(program, [...this.#options, ...args], {
      cwd: join(this.directory, 'packages'),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true })
  }
}

async function readPins(): Promise<Pins> {
  return JSON.parse(await readFile(pinsFile, 'utf8')) as Pins
}

/** @throws Error when a package is not to be had in the pinned version. */
export async function fetchDebianPackages(architecture: string): Promise<DebianPackage[]> {
  const pins = (await readPins())[architecture] ?? {}
  await using apt = await Apt.open(architecture)
  try {
    await apt.download(Object.entries(pins).map(([name, { version }]) => `${name}=${version}`))
  } catch (cause) {
    const hint = 'if Debian has newer ones, pin those with --update-packages and commit the file'
    throw new Error(`a pinned Debian package of ${pinsFile} is not to be had; ${hint}`, { cause })
  }
  const directory = join(apt.directory, 'packages')
  const files = await readdir(directory)
  return await Promise.all(
    Object.entries(pins).map(async ([name, { version, sha256 }]) => {
      const file = files.find((one) => one.startsWith(`${name}_`))
      if (file === undefined) throw new Error(`apt did not bring ${name}`)
      const path = join(directory, file)
      const actual = await sha256Of(path)
      if (actual !== sha256) throw new Error(`${file} has the sha256 ${actual}, not ${sha256}`)
      return { name, version, architecture, sha256, files: await readPackage(path) }
    }),
  )
}

/** Pins what Debian has now. */
export async function updatePins(architectures: readonly string[]): Promise<void> {
  const pins: Pins = {}
  for (const architecture of architectures) {
    await using apt = await Apt.open(architecture)
    await apt.download(names)
    const directory = join(apt.directory, 'packages')
    const files = await readdir(directory)
    const entries = names.map(async (name) => {
      const file = files.find((one) => one.startsWith(`${name}_`)) ?? name
      const pin = {
        version: await apt.findVersion(name),
        sha256: await sha256Of(join(directory, file)),
      }
      return [name, pin] as const
    })
    pins[architecture] = Object.fromEntries(await Promise.all(entries))
  }
  await writeFile(pinsFile, `${JSON.stringify(pins, undefined, 2)}\n`)
}

async function sha256Of(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}

async function readPackage(path: string): Promise<ImageFile[]> {
  const options = { encoding: 'buffer', maxBuffer: packagesBytesMax } as const
  const { stdout } = await run('dpkg-deb', ['--fsys-tarfile', path], options)
  const reader = extract()
  reader.end(stdout)
  const files: ImageFile[] = []
  for await (const entry of reader) {
    const { name, type, linkname } = entry.header
    const bytes = await buffer(entry)
    const file = posix.normalize(name).replace(/\/$/, '')
    if (type === 'directory' || !wanted.some((pattern) => pattern.test(file))) continue
    if (type === 'symlink') files.push({ type: 'link', path: file, target: linkname ?? '' })
    else files.push({ type: 'file', path: file, bytes, executable: /ld-linux/.test(file) })
  }
  return files
}
