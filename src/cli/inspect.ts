/**
 * `trow inspect REFERENCE`: what a manifest of any registry is made of, down to its layers, and what
 * refers to it.
 */
import { Command, Option } from 'commander'
import { StartError } from '../lib/start-error.ts'
import type { Platform } from '../oci/descriptor.ts'
import { formatImageReference } from '../oci/image-reference.ts'
import type { Reference } from '../oci/reference.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import type { UpstreamReferrer } from '../upstream/referrers.ts'
import {
  imageConfigOf,
  isIndex,
  readImageConfig,
  type ReadManifest,
  readManifest,
  type RemoteRepository,
} from './image-content.ts'
import { formatInspection, type Inspection } from './inspect-report.ts'
import { contentBytesOf, TreeReader } from './manifest-tree.ts'
import {
  choosePlatform,
  matchesPlatform,
  notForPlatform,
  parsePlatform,
} from './platform-choice.ts'
import { Progress } from './progress.ts'
import { explainFailure, unknownRepository } from './registry-failure.ts'
import { addRegistryOptions, openRegistry, type RegistryFlags } from './registry-options.ts'
import { parseImagePlace } from './registry-place.ts'
import { processTerminal, type Terminal } from './terminal.ts'

interface InspectFlags extends RegistryFlags {
  readonly json?: boolean
  readonly raw?: boolean
  readonly platform?: string
}

export function inspectCommand(terminal: Terminal = processTerminal): Command {
  const command = new Command('inspect')
    .description('show what an image of any registry is made of')
    .argument('<reference>', '[host[:port]/]repository[:tag][@digest]')
    .addOption(new Option('--json', 'print the tree as JSON').conflicts('raw'))
    .option('--raw', 'print the manifest, byte for byte')
    .option('--platform <os/arch[/variant]>', 'the image for this platform, of an index')
  return addRegistryOptions(command).action(async (text: string, flags: InspectFlags) => {
    try {
      await inspect(text, flags, terminal)
    } catch (error) {
      throw explainFailure(error, flags)
    }
  })
}

async function inspect(text: string, flags: InspectFlags, terminal: Terminal): Promise<void> {
  const place = parseImagePlace(text)
  const wanted = flags.platform === undefined ? undefined : parsePlatform(flags.platform)
  const { image } = place
  const { signal } = new AbortController()
  await using client = await openRegistry(place, flags, terminal, signal)
  const remote = { client, repository: image.repository, signal }
  const reference = formatImageReference(image)
  if (flags.raw && wanted === undefined) {
    // As it is, even if it makes no sense.
    const get = async () => await client.getManifest(image.repository, image.reference, signal)
    terminal.write((await explainMissing(remote, image.reference, get)).bytes)
    return
  }
  const read = await readChosen(remote, image.reference, wanted)
  if (flags.raw) {
    terminal.write(read.bytes)
    return
  }
  const inspection = { reference, ...(await readInspection(remote, read, terminal)) }
  terminal.write(flags.json ? formatJson(inspection) : formatInspection(inspection, terminal))
}

async function readChosen(
  remote: RemoteRepository,
  reference: Reference,
  wanted: Platform | undefined,
): Promise<ReadManifest> {
  const get = async () => await readManifest(remote, reference)
  const named = await explainMissing(remote, reference, get)
  return wanted === undefined ? named : await readPlatform(remote, named, wanted)
}

async function explainMissing<T>(
  { client, repository }: RemoteRepository,
  reference: Reference,
  get: () => Promise<T>,
): Promise<T> {
  try {
    return await get()
  } catch (error) {
    if (!(error instanceof UpstreamError) || error.status !== 404) throw error
    if (error.codes.includes('NAME_UNKNOWN')) {
      throw unknownRepository(client.registry, repository, error)
    }
    const place = `${client.registry}/${repository}`
    const message = `${place} has no ${reference}; trow ls ${place} lists its tags`
    throw new StartError(message, { cause: error })
  }
}

async function readPlatform(
  remote: RemoteRepository,
  read: ReadManifest,
  wanted: Platform,
): Promise<ReadManifest> {
  if (isIndex(read.manifest)) {
    return await readManifest(remote, choosePlatform(read.manifest.manifests, wanted).digest)
  }
  const config = imageConfigOf(read)
  const { platform } = config ? await readImageConfig(remote, config.digest) : {}
  if (matchesPlatform(platform, wanted)) return read
  throw notForPlatform(platform ? [platform] : [], wanted)
}

async function readInspection(
  remote: RemoteRepository,
  read: ReadManifest,
  terminal: Terminal,
): Promise<Omit<Inspection, 'reference'>> {
  using progress = new Progress(terminal, 'manifests')
  const tree = new TreeReader(remote, {
    onExpected: (count) => progress.expect(count),
    onRead: () => progress.step(),
  })
  const root = await tree.readTree(read)
  progress.clear()
  return { root, referrers: await readReferrers(remote, read, terminal) }
}

/** They are an extra: an image whose registry keeps them back can still be shown. */
async function readReferrers(
  { client, repository, signal }: RemoteRepository,
  { digest }: ReadManifest,
  terminal: Terminal,
): Promise<UpstreamReferrer[] | undefined> {
  try {
    return await client.listReferrers(repository, digest, signal)
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    terminal.writeError(`trow: the referrers could not be read: ${error.message}\n`)
    return undefined
  }
}

/** Every field is described in `docs/cli.md`. */
function formatJson({ reference, root, referrers }: Inspection): string {
  const contentSize = contentBytesOf(root)
  const document = { reference, ...root, contentSize, referrers: referrers ?? null }
  return `${JSON.stringify(document, undefined, 2)}\n`
}
