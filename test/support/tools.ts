// The real clients and servers that tests run, where each one comes from, and how one is found:
// first among those that `scripts/test-tools.ts` built from the Go module in `test/tools`, then on
// the PATH. A test skips when its tool is missing, unless TROW_REQUIRE_CLIENTS=1 makes that fail; the
// few that no script can install are never required.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** Where a tool comes from: a Debian package, or a program of the Go module in `test/tools`. */
export type ToolOrigin =
  | { readonly debian: string }
  /** `pinned`: only this very version will do, so the PATH is not searched. */
  | { readonly testTools: string; readonly pinned?: true }
  /** In neither: its source, from where a person who has it built it. Never required. */
  | { readonly pathOnly: string }

export const tools = {
  buildah: { debian: 'buildah' },
  conformance: {
    testTools: 'github.com/opencontainers/distribution-spec/conformance',
    pinned: true,
  },
  containerd: { testTools: 'github.com/containerd/containerd/v2/cmd/containerd', pinned: true },
  crane: { testTools: 'github.com/google/go-containerregistry/cmd/crane' },
  crun: { debian: 'crun' },
  ctr: { testTools: 'github.com/containerd/containerd/v2/cmd/ctr', pinned: true },
  curl: { debian: 'curl' },
  'docker-ls': { pathOnly: 'github.com/mayflower/docker-ls' },
  'docker-registry': { debian: 'docker-registry' },
  htpasswd: { debian: 'apache2-utils' },
  mmdebstrap: { debian: 'mmdebstrap' },
  nginx: { debian: 'nginx' },
  openssl: { debian: 'openssl' },
  oras: { testTools: 'oras.land/oras/cmd/oras' },
  podman: { debian: 'podman' },
  'qemu-aarch64-static': { debian: 'qemu-user-static' },
  regctl: { testTools: 'github.com/regclient/regclient/cmd/regctl' },
  runc: { debian: 'runc' },
  skopeo: { debian: 'skopeo' },
  zb: { pathOnly: 'github.com/project-zot/zot' },
} as const satisfies Record<string, ToolOrigin>

export type ToolName = keyof typeof tools

export const toolNames = Object.keys(tools) as ToolName[]

/** The Go module that pins the test tools; its `tool` directives are the list of programs. */
export const toolsModuleDirectory = fileURLToPath(new URL('../tools/', import.meta.url))

/** How the tools are built; part of the cache key. */
export const goBuildFlags = [
  '-mod=readonly',
  '-buildvcs=false',
  '-trimpath',
  '-ldflags=-s -w',
] as const

/** Where everything that is built once for the tests lives, outside the checkout. */
export function testCacheDirectory(): string {
  const configured = process.env['TROW_TEST_TOOLS']
  if (configured) return configured
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'trow-test-tools')
}

/** What `go version` says inside the tools' module, or undefined without Go. */
export function findGoVersion(): string | undefined {
  try {
    return execFileSync('go', ['version'], {
      cwd: toolsModuleDirectory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return undefined
  }
}

/** The bin directory for this go.mod, go.sum, list of tools and Go; it may not exist yet. */
export function toolsBinDirectory(goVersion: string): string {
  const key = createHash('sha256')
  for (const name of ['go.mod', 'go.sum']) {
    key.update(readFileSync(join(toolsModuleDirectory, name)))
  }
  key.update([...goBuildFlags, goVersion].join('\n'))
  return join(testCacheDirectory(), key.digest('hex').slice(0, 16), 'bin')
}

let builtToolsDirectory: string | undefined | null = null

function findBuiltToolsDirectory(): string | undefined {
  if (builtToolsDirectory === null) {
    const goVersion = findGoVersion()
    builtToolsDirectory = goVersion === undefined ? undefined : toolsBinDirectory(goVersion)
  }
  return builtToolsDirectory
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The path of a program on the PATH, or where Debian keeps servers. */
export function findOnPath(name: string): string | undefined {
  const path = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return path
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, name))
    .find(isExecutable)
}

/** The path of a tool's program, or undefined when this machine does not have it. */
export function findTool(name: ToolName): string | undefined {
  const origin: ToolOrigin = tools[name]
  const directory = 'testTools' in origin ? findBuiltToolsDirectory() : undefined
  const built = directory === undefined ? undefined : join(directory, name)
  if (built !== undefined && isExecutable(built)) return built
  const isPinned = 'testTools' in origin && origin.pinned === true
  return isPinned ? undefined : findOnPath(name)
}

/** How a developer gets a tool that is missing. */
export function installHint(name: ToolName): string {
  const origin: ToolOrigin = tools[name]
  if ('debian' in origin) return `apt-get install ${origin.debian}`
  if ('testTools' in origin) return 'bin/node scripts/test-tools.ts'
  return `build it from ${origin.pathOnly}, and put it on the PATH`
}

/** Whether a script can bring it, so that TROW_REQUIRE_CLIENTS=1 may ask for it. */
export function isInstallable(name: ToolName): boolean {
  return !('pathOnly' in tools[name])
}

/** The path of a tool's program, or throws with how to get it. */
export function getTool(name: ToolName): string {
  const path = findTool(name)
  if (path === undefined) throw new Error(missing(name))
  return path
}

/** The path of a tool; when it is missing, skips the test (and returns undefined), or throws. */
export function requireTool(t: Pick<TestContext, 'skip'>, name: ToolName): string | undefined {
  const path = findTool(name)
  if (path === undefined) {
    if (process.env['TROW_REQUIRE_CLIENTS'] === '1' && isInstallable(name)) {
      throw new Error(missing(name))
    }
    t.skip(missing(name))
  }
  return path
}

function missing(name: ToolName): string {
  return `${name} not found; to get it: ${installHint(name)}`
}
