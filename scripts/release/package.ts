/**
 * The program as it is published, in a new directory: everything it is made of in a few JavaScript
 * files, the launchers, and the licences of what is bundled. Node refuses to strip types below
 * node_modules, and without the stripper and hundreds of module files the process is 50 MiB smaller.
 */
import { chmod, copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build, type Metafile } from 'esbuild'

const root = resolve(import.meta.dirname, '../..')
const copied = ['bin/trow', 'bin/node', 'README.md', 'CHANGELOG.md', 'LICENSE']
const licensesFile = 'THIRD-PARTY-LICENSES'

export interface BundledPackage {
  readonly name: string
  readonly version: string
  /** SPDX expression. */
  readonly license: string
  readonly text: string
}

interface Manifest {
  readonly [key: string]: unknown
  readonly name: string
  readonly version: string
  readonly license?: string
}

/** Names are kept, so that a stack trace can be read. */
async function bundle(directory: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: {
      main: 'src/main.ts',
      'sqlite-check-worker': 'src/metadata/sqlite-check-worker.ts',
      'hash-thread-worker': 'src/storage/hashing/hash-thread-worker.ts',
      'wal-checkpoint-worker': 'src/metadata/wal-checkpoint-worker.ts',
    },
    outdir: join(directory, 'dist'),
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    // CommonJS packages ask for Node's own modules in a way that ESM does not have.
    banner: {
      js: "import{createRequire as makeRequire}from'node:module';const require=makeRequire(import.meta.url);",
    },
  })
  return metafile
}

async function readManifest(directory: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')) as Manifest
}

/** What whoever installs it needs: no dependencies but the runtime, no scripts. */
async function writeManifest(directory: string): Promise<void> {
  const { scripts, dependencies, devDependencies, overrides, files, ...published } =
    await readManifest(root)
  void [scripts, dependencies, devDependencies, overrides, files]
  const manifest = { ...published, files: ['bin', 'dist', licensesFile, 'CHANGELOG.md'] }
  await writeFile(join(directory, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`)
}

/** `node_modules/pino/lib/a.js` and `node_modules/a/node_modules/@b/c/d.js` are of pino and @b/c. */
function packageOf(file: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0]
}

/** @throws when a package names no licence. */
async function licenseOf(path: string): Promise<BundledPackage> {
  const directory = join(root, path)
  const { name, version, license } = await readManifest(directory)
  if (license === undefined) throw new Error(`${name} names no licence`)
  const file = (await readdir(directory)).find((entry) => /^(?:licen[cs]e|copying)/i.test(entry))
  const text = file === undefined ? '' : await readFile(join(directory, file), 'utf8')
  return { name, version, license, text: text.trim() }
}

async function findBundled({ inputs }: Metafile): Promise<BundledPackage[]> {
  const packages = new Set(Object.keys(inputs).map(packageOf))
  packages.delete(undefined)
  return await Promise.all([...packages].map(String).toSorted().map(licenseOf))
}

async function writeLicenses(directory: string, bundled: readonly BundledPackage[]): Promise<void> {
  const line = `\n\n${'-'.repeat(80)}\n\n`
  const texts = bundled.map(
    ({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}`,
  )
  await writeFile(join(directory, licensesFile), `${texts.join(line)}\n`)
}

/** @returns what is bundled. @throws when the directory is not empty. */
export async function makePackage(directory: string): Promise<BundledPackage[]> {
  await mkdir(directory, { recursive: true })
  if ((await readdir(directory)).length > 0) throw new Error(`${directory} is not empty`)
  const bundled = await findBundled(await bundle(directory))
  await mkdir(join(directory, 'bin'))
  for (const file of copied) await copyFile(join(root, file), join(directory, file))
  for (const file of ['trow', 'node']) await chmod(join(directory, 'bin', file), 0o755)
  await writeManifest(directory)
  await writeLicenses(directory, bundled)
  return bundled
}
