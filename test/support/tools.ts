// The real clients and servers that tests run, where each one comes from, and how one is found:
// first among those that `scripts/test-tools.ts` built from the Go module in `test/tools`, then on
// the PATH. A test skips when its tool is missing, unless TROW_REQUIRE_CLIENTS=1 makes that fail; the
// few that no script can install are never required.

import { execFileSync, type StdioOptions } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, delimiter, join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** Where a tool comes from: a Debian package, or a program of a Go module in `test/tools`. */
export type ToolOrigin =
  /** `at`: the package's own program is meant, whatever else the PATH has. */
  | { readonly debian: string; readonly at?: string }
  /**
   * The program's file has the last name of the path that is no version. `pinned`: only this very version will do, so the
   * PATH is not searched.
   */
  | { readonly testTools: string; readonly module?: ModuleName; readonly pinned?: true }
  /** In neither: its source, from where a person who has it built it. Never required. */
  | { readonly pathOnly: string }

export const tools = {
  buildah: { debian: 'buildah' },
  buildctl: { testTools: 'github.com/moby/buildkit/cmd/buildctl', pinned: true },
  buildkitd: { testTools: 'github.com/moby/buildkit/cmd/buildkitd', pinned: true },
  conformance: {
    testTools: 'github.com/opencontainers/distribution-spec/conformance',
    pinned: true,
  },
  containerd: { testTools: 'github.com/containerd/containerd/v2/cmd/containerd', pinned: true },
  cosign: { testTools: 'github.com/sigstore/cosign/v3/cmd/cosign' },
  crane: { testTools: 'github.com/google/go-containerregistry/cmd/crane' },
  crictl: { testTools: 'sigs.k8s.io/cri-tools/cmd/crictl', module: 'cri-tools', pinned: true },
  crun: { debian: 'crun' },
  ctr: { testTools: 'github.com/containerd/containerd/v2/cmd/ctr', pinned: true },
  curl: { debian: 'curl' },
  'debian-containerd': { debian: 'containerd', at: '/usr/bin/containerd' },
  'debian-ctr': { debian: 'containerd', at: '/usr/bin/ctr' },
  'docker-ls': { pathOnly: 'github.com/mayflower/docker-ls' },
  'docker-registry': { debian: 'docker-registry' },
  dockerd: { debian: 'docker.io', at: '/usr/sbin/dockerd' },
  etcd: { testTools: 'go.etcd.io/etcd/server/v3', module: 'cluster', pinned: true },
  'helm-3': { testTools: 'helm.sh/helm/v3/cmd/helm', module: 'helm-3', pinned: true },
  'helm-4': { testTools: 'helm.sh/helm/v4/cmd/helm', module: 'helm-4', pinned: true },
  htpasswd: { debian: 'apache2-utils' },
  'kube-apiserver': {
    testTools: 'k8s.io/kubernetes/cmd/kube-apiserver',
    module: 'kubernetes',
    pinned: true,
  },
  'kube-controller-manager': {
    testTools: 'k8s.io/kubernetes/cmd/kube-controller-manager',
    module: 'kubernetes',
    pinned: true,
  },
  'kube-linter': { pathOnly: 'github.com/stackrox/kube-linter' },
  'kube-score': {
    testTools: 'github.com/zegl/kube-score/cmd/kube-score',
    module: 'kube-score',
    pinned: true,
  },
  kubectl: { testTools: 'k8s.io/kubernetes/cmd/kubectl', module: 'kubernetes', pinned: true },
  kwok: { testTools: 'sigs.k8s.io/kwok/cmd/kwok', module: 'cluster', pinned: true },
  mmdebstrap: { debian: 'mmdebstrap' },
  nginx: { debian: 'nginx' },
  olareg: { testTools: 'github.com/olareg/olareg/cmd/olareg' },
  openssl: { debian: 'openssl' },
  oras: { testTools: 'oras.land/oras/cmd/oras' },
  podman: { debian: 'podman' },
  promtool: { debian: 'prometheus' },
  'qemu-aarch64-static': { debian: 'qemu-user-static' },
  regctl: { testTools: 'github.com/regclient/regclient/cmd/regctl' },
  runc: { debian: 'runc' },
  skopeo: { debian: 'skopeo' },
  strace: { debian: 'strace' },
  'systemd-analyze': { debian: 'systemd' },
  zb: { pathOnly: 'github.com/project-zot/zot' },
} as const satisfies Record<string, ToolOrigin>

export type ToolName = keyof typeof tools

export const toolNames = Object.keys(tools) as ToolName[]

export interface ToolsModule {
  /** Of `go.mod`, whose `tool` directives are the list of programs. */
  readonly directory: string
  /** How the tools are built; part of the cache key. */
  readonly goBuildFlags: readonly string[]
}

/** Otherwise the server says of itself that it is of no version, and its clients believe it. */
const kubernetesVersion = ['component-base/version', 'client-go/pkg/version'].flatMap((name) =>
  Object.entries({ gitVersion: 'v1.36.3', gitMajor: '1', gitMinor: '36' }).map(
    ([variable, value]) => `-X k8s.io/${name}.${variable}=${value}`,
  ),
)

const commonFlags = ['-mod=readonly', '-buildvcs=false', '-trimpath']

export const moduleNames = [
  'tools',
  'cluster',
  'cri-tools',
  'kubernetes',
  'helm-3',
  'helm-4',
  'kube-score',
] as const

export type ModuleName = (typeof moduleNames)[number]

/**
 * The Go modules that pin the test tools. Programs that need other versions of the same libraries, or
 * replace modules as Kubernetes does, have one of their own.
 */
export const toolsModules: Readonly<Record<ModuleName, ToolsModule>> = {
  tools: toolsModule('.'),
  cluster: toolsModule('cluster'),
  'cri-tools': toolsModule('cri-tools'),
  kubernetes: toolsModule('kubernetes', kubernetesVersion),
  'helm-3': toolsModule('helm-3'),
  'helm-4': toolsModule('helm-4'),
  'kube-score': toolsModule('kube-score'),
}

function toolsModule(folder: string, linkerFlags: readonly string[] = []): ToolsModule {
  return {
    directory: fileURLToPath(new URL(`../tools/${folder}/`, import.meta.url)),
    goBuildFlags: [...commonFlags, ['-ldflags=-s -w', ...linkerFlags].join(' ')],
  }
}

/** Where everything that is built once for the tests lives, outside the checkout. */
export function testCacheDirectory(): string {
  const configured = process.env['TROW_TEST_TOOLS']
  if (configured) return configured
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'trow-test-tools')
}

/** What `go version` says inside the modules, or undefined without Go. */
export function findGoVersion(): string | undefined {
  try {
    return execFileSync('go', ['version'], {
      cwd: toolsModules.tools.directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return undefined
  }
}

/** The bin directory for this go.mod, go.sum, list of tools and Go; it may not exist yet. */
export function toolsBinDirectory(module: ModuleName, goVersion: string): string {
  const { directory, goBuildFlags } = toolsModules[module]
  const key = createHash('sha256')
  for (const name of ['go.mod', 'go.sum']) key.update(readFileSync(join(directory, name)))
  key.update([...goBuildFlags, goVersion].join('\n'))
  return join(testCacheDirectory(), key.digest('hex').slice(0, 16), 'bin')
}

let goVersion: string | undefined | null = null

function findBuiltToolsDirectory(module: ModuleName): string | undefined {
  if (goVersion === null) goVersion = findGoVersion()
  return goVersion === undefined ? undefined : toolsBinDirectory(module, goVersion)
}

/** Modules of `test/tools/crds`, for the definitions of objects of other people's controllers. */
export const definitionModules = [
  'github.com/cert-manager/cert-manager',
  'github.com/prometheus-operator/prometheus-operator',
  'sigs.k8s.io/gateway-api',
] as const

/** Where Go keeps the files of one of them; undefined if it does not have them. */
export function findDefinitions(module: (typeof definitionModules)[number]): string | undefined {
  const cwd = join(toolsModules.tools.directory, 'crds')
  const args = ['list', '-m', '-mod=readonly', '-f', '{{.Dir}}', module]
  const stdio: StdioOptions = ['ignore', 'pipe', 'ignore']
  const env = { ...process.env, GOWORK: 'off' }
  try {
    return execFileSync('go', args, { cwd, env, encoding: 'utf8', stdio }).trim() || undefined
  } catch {
    return undefined
  }
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

/** As Go names what it builds of a package. */
function programName(path: string): string {
  return basename(path.replace(/\/v\d+$/, ''))
}

/** The path of a tool's program, or undefined when this machine does not have it. */
export function findTool(name: ToolName): string | undefined {
  const origin: ToolOrigin = tools[name]
  if ('debian' in origin && origin.at !== undefined) {
    return isExecutable(origin.at) ? origin.at : undefined
  }
  if (!('testTools' in origin)) return findOnPath(name)
  const directory = findBuiltToolsDirectory(origin.module ?? 'tools')
  const built = directory === undefined ? undefined : join(directory, programName(origin.testTools))
  if (built !== undefined && isExecutable(built)) return built
  return origin.pinned === true ? undefined : findOnPath(name)
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
