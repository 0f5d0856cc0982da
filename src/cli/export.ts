/**
 * `trow export REFERENCE... TARGET`: writes images of a registry to an OCI image layout, a directory or
 * an archive, with all platforms and, if wanted, with what refers to them.
 */
import { rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Command } from 'commander'
import { StartError } from '../lib/start-error.ts'
import { MoveError } from '../moving/content-source.ts'
import { archiveLayout } from '../moving/layout-archive.ts'
import { LayoutDestination } from '../moving/layout-destination.ts'
import { RegistrySource } from '../moving/registry-source.ts'
import { type ImageReference, parseImageReference } from '../oci/image-reference.ts'
import type { Digest } from '../oci/digest.ts'
import { OciError } from '../oci/errors.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { Tag } from '../oci/tag.ts'
import { addFormatOptions } from './format-options.ts'
import type { Host } from './host.ts'
import { interruption } from './interruption.ts'
import { jobsOption, type MoveFlags, moveImages } from './move-images.ts'
import { explainFailure } from './registry-failure.ts'
import { addRegistryOptions, openRegistry, type RegistryFlags } from './registry-options.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

interface ExportFlags extends RegistryFlags, MoveFlags {
  readonly referrers?: boolean
}

type SignalHost = Pick<Host, 'onSignal' | 'exit'>

interface Export {
  readonly images: readonly [ImageReference, ...ImageReference[]]
  readonly target: string
  readonly signal: AbortSignal
}

export function exportCommand(host: SignalHost, terminal: Terminal = processTerminal): Command {
  const command = new Command('export')
    .description('write images to an OCI image layout')
    .argument(
      '<reference...>',
      'images of one registry, then a directory, or a file that ends in .tar',
    )
    .option('--referrers', 'signatures and attestations, too')
    .option('--dry-run', 'say what would be written, and write nothing')
    .addOption(jobsOption())
  addFormatOptions(command, ['text', 'json'])
  return addRegistryOptions(command).action(async (words: string[], flags: ExportFlags) => {
    try {
      const signal = interruption(host, 'interrupted; the same command goes on where it was')
      await exportImages({ ...parseWords(words), signal }, flags, terminal)
    } catch (error) {
      if (error instanceof MoveError) throw new StartError(error.message, { cause: error })
      throw explainFailure(error, flags)
    }
  })
}

function parseWords(words: readonly string[]): Pick<Export, 'images' | 'target'> {
  const target = words.at(-1) ?? ''
  try {
    const [first, ...rest] = words.slice(0, -1).map(parseImageReference)
    if (first === undefined) throw usageError('name an image, and then where it goes')
    const other = rest.find(({ registry }) => registry !== first.registry)
    if (other === undefined) return { images: [first, ...rest], target: resolve(target) }
    throw usageError(`${first.registry} and ${other.registry}: export from one registry at a time`)
  } catch (error) {
    if (error instanceof OciError) throw usageError(error.message, error)
    throw error
  }
}

async function exportImages(work: Export, flags: ExportFlags, terminal: Terminal): Promise<void> {
  const { target, signal } = work
  if (!target.endsWith('.tar')) {
    await exportTo(target, work, flags, terminal)
    return
  }
  // Whatever ended an earlier one, its blobs are taken; what it listed may be another command's.
  const directory = join(dirname(target), `.${basename(target)}.trow-export`)
  if (flags.dryRun !== true) await rm(join(directory, 'index.json'), { force: true })
  const listed = await exportTo(directory, work, flags, terminal)
  if (flags.dryRun === true) return
  await archiveLayout(directory, listed, { target, signal })
  await rm(directory, { recursive: true, force: true })
}

/** @returns what the layout lists then. */
async function exportTo(
  directory: string,
  { images, signal }: Export,
  flags: ExportFlags,
  terminal: Terminal,
): Promise<Digest[]> {
  const [{ registry, repository }] = images
  const client = await openRegistry({ registry, repository }, flags, terminal, signal)
  await using source = new RegistrySource(client, images, { referrers: flags.referrers === true })
  const untagged = new Set(images.flatMap(({ tag, digest }) => (tag ? [] : (digest ?? []))))
  const nameHere = (...name: [RepositoryName, Tag]): string => nameOf(images, ...name)
  const names = { registry, nameOf: nameHere, untagged }
  await using destination = await LayoutDestination.open(directory, names, {
    dryRun: flags.dryRun === true,
  })
  await moveImages({ source, destination, terminal, signal, word: 'exported' }, flags)
  return destination.listed
}

/** A tag alone is what clients expect, as long as it is one image's. */
function nameOf(images: Export['images'], repository: RepositoryName, tag: Tag): string {
  const [{ registry }] = images
  const isShared = images.some((other) => other.tag === tag && other.repository !== repository)
  return isShared ? `${registry}/${repository}:${tag}` : tag
}
