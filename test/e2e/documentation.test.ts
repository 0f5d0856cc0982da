// The documentation's commands do what it says: every block that is marked `<!-- run: registry -->` runs in a shell
// with the real clients, page by page in order, against a registry that has other registries behind it. Only
// addresses are changed, and `bin/trow` and `/data` lead to what is under test. What needs a cluster is not run, but
// the values that it gives to the chart are rendered.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { isolatedEnvironment } from '../support/clients.ts'
import {
  type Block,
  documentationRoot,
  listBlocks,
  readPages,
  shellCommands,
} from '../support/documentation.ts'
import { chartDirectory } from '../support/helm.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { proxyConfig } from '../support/pull-through.ts'
import { type Registry, startRegistry } from '../support/start-registry.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary-directory.ts'
import { getTool, requireTool, type ToolName, tools } from '../support/tools.ts'

const blockTimeoutMs = 60_000

/** What the pages speak of as being there. */
const ownImages = ['team/my-app:v0', 'team/my-app:v1', 'team/my-app:v2', 'team/app:1.0']
const otherRegistries = ['docker.io', 'quay.io', 'ghcr.io']
const otherImages = [
  'library/alpine:latest',
  'library/nginx:latest',
  'library/nginx:1.27',
  'prometheus/node-exporter:v1.9.0',
  'org/app:v1',
]

const isRun = ({ language, comment }: Block): boolean =>
  language === 'sh' && comment === 'run: registry'

function toolsOf(script: string): ToolName[] {
  const programs = shellCommands(script).map(([program = '']) => program)
  return [...new Set(programs)].filter((program): program is ToolName => program in tools)
}

async function pushAll(registry: Registry, images: readonly string[]): Promise<void> {
  for (const [seed, image] of images.entries()) {
    const [repository = '', tag = ''] = image.split(':')
    await registry.push(repository, tag, imageFixture({ seed: seed + 1 }))
  }
}

/** Those that begin with a comment that has their name. */
async function writeShownFiles(directory: string, page: readonly Block[]): Promise<void> {
  for (const { language, text } of page) {
    const name = language === 'yaml' ? /^# (\w+\.yaml)\b/.exec(text)?.[1] : undefined
    if (name !== undefined) await writeFile(join(directory, name), text)
  }
}

/** Where a page's commands run, and what they find there. */
class Shell {
  readonly #directory: string
  readonly #registry: Registry
  #environment: NodeJS.ProcessEnv = {}

  constructor(directory: string, registry: Registry) {
    this.#directory = directory
    this.#registry = registry
  }

  /** As people say it, and as every client takes it without TLS. */
  get #host(): string {
    return this.#registry.host.replace('127.0.0.1', 'localhost')
  }

  async prepare(page: readonly Block[], upstream: Registry): Promise<void> {
    const directory = this.#directory
    await symlink(this.#registry.dataDirectory, join(directory, 'data'))
    await writeFile(join(directory, 'sbom.json'), '{}')
    await writeShownFiles(directory, page)
    await this.#prepareClients(upstream)
  }

  async #prepareClients(upstream: Registry): Promise<void> {
    const directory = this.#directory
    const programs = join(directory, 'programs')
    await mkdir(programs)
    await symlink(join(documentationRoot, 'bin/trow'), join(programs, 'trow'))
    const environment = await isolatedEnvironment({ registry: this.#host, directory })
    const home = String(environment['HOME'])
    const mirror = `[[registry]]\nprefix = "docker.io"\nlocation = "${upstream.host}"\ninsecure = true\n`
    const own = `[[registry]]\nlocation = "${this.#host}"\ninsecure = true\n`
    await writeFile(String(environment['CONTAINERS_REGISTRIES_CONF']), mirror + own)
    await mkdir(join(home, '.config/containers/registries.conf.d'), { recursive: true })
    await mkdir(join(home, '.regctl'))
    const hosts = { [this.#host]: { tls: 'disabled', hostname: this.#host } }
    await writeFile(join(home, '.regctl/config.json'), JSON.stringify({ hosts }))
    await chmod(home, 0o700)
    const found = (['crane', 'oras', 'regctl', 'skopeo', 'podman'] as const).flatMap((name) => {
      try {
        return [dirname(getTool(name))]
      } catch {
        return []
      }
    })
    const path = [programs, ...new Set(found), process.env['PATH']].join(':')
    this.#environment = { ...environment, PATH: path }
  }

  async run(script: string): Promise<string> {
    const { stdout } = await promisify(execFile)(
      'bash',
      ['-euo', 'pipefail', '-c', this.#rewrite(script)],
      {
        cwd: this.#directory,
        env: this.#environment,
        timeout: blockTimeoutMs,
        killSignal: 'SIGKILL',
      },
    )
    return stdout
  }

  #rewrite(script: string): string {
    return script
      .replaceAll(
        /\b(?:localhost|trow\.example\.com|registry\.example\.com)(?::8000)?(?=[/\s'"]|$)/g,
        this.#host,
      )
      .replaceAll(/\bbin\/trow\b/g, 'trow')
      .replaceAll(/ \/(data|backup)(?=[/\s]|$)/g, ' ./$1')
  }
}

describe('the commands of the documentation', () => {
  let upstream: Registry
  before(async () => {
    const flags = otherRegistries.flatMap((name) => ['--hostname', name])
    upstream = await startRegistry({ flags })
    await pushAll(upstream, otherImages)
  })
  after(() => upstream?.[Symbol.asyncDispose]())

  for (const page of readPages()) {
    const blocks = listBlocks(page)
    const marked = blocks.filter(isRun)
    if (marked.length === 0) continue
    describe(page.path, () => {
      let registry: Registry
      let directory: TemporaryDirectory
      let shell: Shell
      before(async () => {
        directory = await temporaryDirectory()
        const entries = otherRegistries.map((host) => ({
          host,
          insecure: true,
          endpoints: [upstream.host],
        }))
        registry = await startRegistry({ config: proxyConfig(entries) })
        shell = new Shell(directory.path, registry)
        await shell.prepare(blocks, upstream)
      })
      after(async () => {
        await registry?.[Symbol.asyncDispose]()
        await directory?.[Symbol.asyncDispose]()
      })
      for (const { text } of marked) {
        test(text.split('\n', 1)[0] ?? '', async (t) => {
          for (const tool of toolsOf(text)) if (requireTool(t, tool) === undefined) return
          await pushAll(registry, ownImages)
          await assert.doesNotReject(shell.run(text))
        })
      }
    })
  }
})

/** What an installation or upgrade hands to the chart; undefined for other commands. */
function templateArguments([program, verb, release = '', , ...flags]: readonly string[]):
  | string[]
  | undefined {
  if (program !== 'helm' || (verb !== 'install' && verb !== 'upgrade')) return undefined
  // Of a cluster and of what is installed there.
  const others = ['--create-namespace', '--reset-then-reuse-values']
  return ['template', release, chartDirectory, ...flags.filter((flag) => !others.includes(flag))]
}

describe('values that the documentation gives to the chart', () => {
  for (const page of readPages()) {
    const blocks = listBlocks(page)
    const commands = blocks
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) => shellCommands(text))
    for (const command of commands) {
      const args = templateArguments(command)
      // `values.yaml` is the reader's own.
      if (args === undefined || args.includes('values.yaml')) continue
      test(`${page.path}: ${args.slice(3).join(' ')}`, async (t) => {
        const helm = requireTool(t, 'helm-4')
        if (helm === undefined) return
        await using directory = await temporaryDirectory()
        await writeShownFiles(directory.path, blocks)
        const { stdout } = await promisify(execFile)(helm, args, { cwd: directory.path })
        assert.match(stdout, /kind: StatefulSet/)
      })
    }
  }
})
