/**
 * `trow warm [REF...]`: has a running Trow fetch images before somebody needs them, as a node would
 * pull them. Each image is a matter of its own: what fails is said, and the others go on.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { limits } from '../config/limits.ts'
import { platformHere } from '../config/platform.ts'
import { StartError } from '../lib/start-error.ts'
import { formatImageReference, type ImageReference } from '../oci/image-reference.ts'
import { forEachOf } from './concurrency.ts'
import { formatCount, pluralOf } from './format.ts'
import { addFormatOptions } from './format-options.ts'
import type { Host } from './host.ts'
import type { Selection } from './image-manifests.ts'
import { interruption } from './interruption.ts'
import { parsePlatform } from './platform-choice.ts'
import { ProgressLines } from './progress-lines.ts'
import { explainFailure } from './registry-failure.ts'
import { addRegistryOptions, openTrow, type RegistryFlags } from './registry-options.ts'
import { parseTrowPlace, trowPlaceDefault } from './registry-place.ts'
import { collected } from './repeated-flag.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import type { TrowClient } from './trow-client.ts'
import { ImageWarmer, type WarmResult } from './warm-image.ts'
import { readImages } from './warm-input.ts'
import { type WarmFormat, WarmReport } from './warm-report.ts'

export interface WarmFlags extends RegistryFlags {
  readonly registry: string
  readonly file?: readonly string[]
  readonly platform?: readonly string[]
  readonly referrers?: boolean
  readonly jobs: number
  readonly format: WarmFormat
}

/** What takes signals; nobody else may. */
type SignalHost = Pick<Host, 'onSignal' | 'exit'>

export function warmCommand(host: SignalHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('warm')
    .description('have a running Trow fetch images into its cache')
    .argument('[reference...]', '[host[:port]/]repository[:tag][@digest], or - for a list')
    .option('--registry <registry>', 'the Trow', trowPlaceDefault)
    .option(
      '-f, --file <file>',
      'a list of images, or of pods as JSON; - for standard input',
      collected,
    )
    .option(
      '--platform <platforms>',
      'os/arch[/variant],... or all; default: what Trow runs on',
      collected,
    )
    .option('--referrers', 'signatures and attestations, too')
    .addOption(
      new Option('--jobs <count>', 'images at a time')
        .default(limits.warmJobsDefault)
        .argParser(parseJobs),
    )
  addFormatOptions(command, ['text', 'json'])
  return addRegistryOptions(command).action(async (references: string[], flags: WarmFlags) => {
    try {
      await warm(references, flags, host, terminal)
    } catch (error) {
      throw explainFailure(error, flags)
    }
  })
}

function parseJobs(text: string): number {
  const jobs = /^[0-9]{1,3}$/.test(text) ? Number(text) : 0
  if (jobs >= 1 && jobs <= limits.warmJobsMax) return jobs
  throw new InvalidArgumentError(`expected a number from 1 to ${limits.warmJobsMax}`)
}

async function warm(
  references: readonly string[],
  flags: WarmFlags,
  host: SignalHost,
  terminal: Terminal,
): Promise<void> {
  const place = parseTrowPlace(flags.registry)
  const named = flags.platform && parsePlatforms(flags.platform)
  const { images, invalid } = await readImages(references, flags, terminal)
  const message = 'interrupted; Trow goes on with the layers it has begun to fetch'
  const signal = interruption(host, message)
  const connectionsMax = flags.jobs * limits.warmBlobsAtOnce
  await using trow = await openTrow(place, flags, terminal, { signal, connectionsMax })
  const platforms = await choosePlatforms(trow, named, terminal, signal)
  const selection = { platforms, referrers: flags.referrers === true }
  const warmer = new ImageWarmer(trow, selection, signal)
  const failed = await warmAll({ images, invalid, warmer, terminal }, flags)
  if (failed === 0) return
  const all = images.length + invalid.length
  throw new StartError(`${failed} of ${formatCount(all, 'image')} could not be had`)
}

interface Work {
  readonly images: readonly ImageReference[]
  readonly invalid: readonly WarmResult[]
  readonly warmer: ImageWarmer
  readonly terminal: Terminal
}

/** @returns how many failed. */
async function warmAll(
  { images, invalid, warmer, terminal }: Work,
  { jobs, format }: WarmFlags,
): Promise<number> {
  const report = new WarmReport(format)
  using progress = new ProgressLines(terminal, { noun: pluralOf('image'), total: images.length })
  for (const result of invalid) progress.write(report.add(result))
  const warmOne = async (image: ImageReference): Promise<WarmResult> => {
    using line = progress.begin(formatImageReference(image))
    return await warmer.warm(image, line)
  }
  try {
    await forEachOf(images, jobs, async (image) => progress.write(report.add(await warmOne(image))))
  } finally {
    progress.write(report.summary)
  }
  return report.failed
}

/** Asks for what Trow runs on, and so finds out that it is one before anything is pulled. */
async function choosePlatforms(
  trow: TrowClient,
  named: Selection['platforms'] | undefined,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<Selection['platforms']> {
  const { platform } = await trow.getUpstreams(signal)
  if (named !== undefined) return named
  const own = typeof platform === 'string' ? platform : platformHere
  terminal.writeError(`trow: for ${own}, which Trow runs on; --platform names others, or all\n`)
  return [parsePlatform(own)]
}

/** @throws StartError of exit code 2 */
function parsePlatforms(texts: readonly string[]): Selection['platforms'] {
  const names = texts.flatMap((text) => text.split(','))
  return names.includes('all') ? 'all' : names.map((name) => parsePlatform(name.trim()))
}
