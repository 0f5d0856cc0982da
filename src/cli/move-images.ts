/**
 * Moves all that a source lists, several images at a time, with progress on standard error and a line
 * for each on standard output. What cannot be moved keeps nothing else from it, and is told at the end.
 */
import { InvalidArgumentError, Option } from 'commander'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import type {
  ContentDestination,
  ContentSource,
  SourceImage,
  SourceProblem,
} from '../moving/content-source.ts'
import { ImageMover } from '../moving/image-mover.ts'
import { forEachOf } from './concurrency.ts'
import { formatCount, pluralOf } from './format.ts'
import { MoveReport } from './move-report.ts'
import { ProgressLines } from './progress-lines.ts'
import type { Terminal } from './terminal.ts'

export interface MoveFlags {
  readonly dryRun?: boolean
  readonly jobs: number
  readonly format: string
}

export interface MoveWork {
  readonly source: ContentSource
  readonly destination: ContentDestination
  readonly terminal: Terminal
  readonly signal: AbortSignal
  /** What is done to an image: `imported`. */
  readonly word: string
}

export function jobsOption(): Option {
  return new Option('--jobs <count>', 'images at a time')
    .default(limits.moveJobsDefault)
    .argParser((text: string) => {
      const jobs = /^[0-9]{1,3}$/.test(text) ? Number(text) : 0
      if (jobs >= 1 && jobs <= limits.moveJobsMax) return jobs
      throw new InvalidArgumentError(`expected a number from 1 to ${limits.moveJobsMax}`)
    })
}

/** Requests at a time. */
export function connectionsFor(jobs: number): number {
  return jobs * limits.movedBlobsAtOnce
}

/** @throws StartError when something could not be moved, after everything else was. */
export async function moveImages(work: MoveWork, flags: MoveFlags): Promise<void> {
  const { source, destination, terminal, signal, word } = work
  const dryRun = flags.dryRun === true
  const report = new MoveReport(flags.format, { moved: word, dryRun })
  const mover = new ImageMover(source, destination, { signal, dryRun })
  const listed = await listAll(source, signal)
  // An index brings its children along, which need no line of their own then.
  const [untagged, tagged] = [listed.filter(isUntagged), listed.filter((item) => !isUntagged(item))]
  if (listed.length === 0) terminal.writeError(`trow: ${source.description} without an image\n`)
  using progress = new ProgressLines(terminal, { noun: pluralOf('image'), total: listed.length })
  const moveOne = async (item: SourceImage | SourceProblem): Promise<void> => {
    if ('problem' in item) {
      const result = { image: item.name, status: 'skipped', message: item.problem } as const
      progress.write(report.add(result))
      return
    }
    using line = progress.begin(`${item.repository}${item.tag ? `:${item.tag}` : ''}`)
    progress.write(report.add(await mover.move(item, line)))
  }
  try {
    for (const items of [tagged, untagged]) await forEachOf(items, flags.jobs, moveOne)
  } finally {
    progress.write(report.summary)
  }
  if (report.missing === 0) return
  const all = formatCount(report.total, 'image')
  throw new StartError(`${report.missing} of ${all} could not be ${word}; the lines above say why`)
}

async function listAll(
  source: ContentSource,
  signal: AbortSignal,
): Promise<(SourceImage | SourceProblem)[]> {
  const listed = []
  for await (const item of source.list(signal)) {
    if (listed.length >= limits.movedImagesMax) {
      throw new StartError(
        `there are more than ${limits.movedImagesMax} images: take them in parts`,
      )
    }
    listed.push(item)
  }
  return listed
}

function isUntagged(item: SourceImage | SourceProblem): boolean {
  return 'digest' in item && item.tag === undefined
}
