// Builds the test tools that neither npm nor Debian carries (see `test/tools/go.mod`) once, into a
// cache outside the checkout; stdout's last lines are their directories, and `--print` only says them.
// `--packages` lists the Debian packages of the other tools, `--check` the versions of all of them.

import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  definitionModules,
  findGoVersion,
  findTool,
  installHint,
  isInstallable,
  moduleNames,
  testCacheDirectory,
  toolNames,
  tools,
  toolsBinDirectory,
  toolsModules,
  type ModuleName,
  type ToolName,
} from '../test/support/tools.ts'

/** Builds kept beside those in use, so that two branches do not evict each other. */
const otherBuildsKept = moduleNames.length
const abandonedBuildMs = 24 * 60 * 60 * 1000

function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)]
  for (let part = 0; part < 3; part++) {
    const difference = (left[part] ?? 0) - (right[part] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

async function getGoVersion(): Promise<string> {
  const goMod = await readFile(join(toolsModules.tools.directory, 'go.mod'), 'utf8')
  const needed = /^go (\S+)$/m.exec(goMod)?.[1] ?? '0'
  const line = findGoVersion()
  if (line === undefined) {
    throw new Error(`the test tools are built with Go >= ${needed}, and no go is on the PATH`)
  }
  const found = /\bgo(\d+(?:\.\d+)*)/.exec(line)?.[1]
  if (found !== undefined && compareVersions(found, needed) < 0) {
    throw new Error(`the test tools are built with Go >= ${needed}, and this is: ${line}`)
  }
  return line
}

async function build(module: ModuleName, binDirectory: string): Promise<void> {
  const { directory, goBuildFlags } = toolsModules[module]
  const child = spawn('go', ['install', ...goBuildFlags, 'tool'], {
    cwd: directory,
    env: { ...process.env, CGO_ENABLED: '0', GOBIN: binDirectory, GOWORK: 'off' },
    stdio: ['ignore', process.stderr, process.stderr],
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0) throw new Error(`go install of the test tools failed with exit code ${code}`)
}

/** Publishes a finished build with one rename; another process may have been faster. */
async function publish(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    await rm(from, { recursive: true, force: true })
    if (!existsSync(to)) throw error
  }
}

/** Bounds the cache: removes older builds and builds that were abandoned half-way. */
async function removeOldBuilds(inUse: readonly string[]): Promise<void> {
  const root = testCacheDirectory()
  const builds: { path: string; mtimeMs: number }[] = []
  for (const name of await readdir(root)) {
    const path = join(root, name)
    const isBuild = /^[0-9a-f]{16}$/.test(name) && !inUse.includes(path)
    if (!isBuild && !name.startsWith('building-')) continue
    const { mtimeMs } = await stat(path)
    if (isBuild) builds.push({ path, mtimeMs })
    else if (mtimeMs < Date.now() - abandonedBuildMs)
      await rm(path, { recursive: true, force: true })
  }
  builds.sort((a, b) => b.mtimeMs - a.mtimeMs)
  for (const { path } of builds.slice(otherBuildsKept))
    await rm(path, { recursive: true, force: true })
}

/** @returns the directory of the build. */
async function makeTools(module: ModuleName): Promise<string> {
  const binDirectory = toolsBinDirectory(module, await getGoVersion())
  const directory = dirname(binDirectory)
  if (!existsSync(binDirectory)) {
    await mkdir(testCacheDirectory(), { recursive: true })
    const started = Date.now()
    console.error(`building the test tools: ${module} (once; minutes on a small machine)`)
    const temporary = await mkdtemp(join(testCacheDirectory(), 'building-'))
    try {
      await build(module, join(temporary, 'bin'))
      await publish(temporary, directory)
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
    console.error(`built the test tools in ${Math.round((Date.now() - started) / 1000)} s`)
  }
  await utimes(directory, new Date(), new Date())
  return directory
}

/** The files of modules that have no program: definitions of other people's objects. */
function downloadDefinitions(): void {
  const cwd = join(toolsModules.tools.directory, 'crds')
  const env = { ...process.env, GOWORK: 'off' }
  execFileSync('go', ['mod', 'download', ...definitionModules], { cwd, env, stdio: 'inherit' })
}

function listDebianPackages(): void {
  const origins = toolNames.map((name) => tools[name])
  const packages = origins.flatMap((origin) => ('debian' in origin ? [origin.debian] : []))
  for (const name of new Set(packages)) console.log(name)
}

/** What is installed, as the place that it comes from says it. */
function findToolVersion(name: ToolName, path: string): string {
  const origin = tools[name]
  try {
    if ('debian' in origin) {
      const query = ['--show', '--showformat=${Version}', origin.debian]
      return execFileSync('dpkg-query', query, { encoding: 'utf8', stdio: 'pipe' })
    }
    const build = execFileSync('go', ['version', '-m', path], { encoding: 'utf8', stdio: 'pipe' })
    return /^\tmod\t\S+\t(\S+)/m.exec(build)?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

/** Prints each tool with its version; the exit code says whether any required one is missing. */
function checkTools(): void {
  for (const name of toolNames) {
    const path = findTool(name)
    if (path !== undefined) {
      console.log(`${name.padEnd(18)} ${findToolVersion(name, path).padEnd(36)} ${path}`)
    } else if (isInstallable(name)) {
      console.error(`${name.padEnd(18)} MISSING; to get it: ${installHint(name)}`)
      process.exitCode = 1
    } else {
      console.log(`${name.padEnd(18)} not here; not required; to get it: ${installHint(name)}`)
    }
  }
}

async function printDirectories(): Promise<void> {
  const goVersion = await getGoVersion()
  for (const module of moduleNames) console.log(toolsBinDirectory(module, goVersion))
}

async function main(): Promise<void> {
  const flag = { type: 'boolean', default: false } as const
  const { values } = parseArgs({ options: { print: flag, packages: flag, check: flag } })
  if (values.print) await printDirectories()
  else if (values.packages) listDebianPackages()
  else if (values.check) checkTools()
  else {
    const inUse: string[] = []
    for (const module of moduleNames) inUse.push(await makeTools(module))
    await removeOldBuilds(inUse)
    downloadDefinitions()
    await printDirectories()
  }
}

try {
  await main()
} catch (error) {
  console.error(`test-tools: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
}
