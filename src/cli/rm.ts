/**
 * `trow rm REPOSITORY[:TAG|@DIGEST]...`: deletes images, or whole repositories, from a running Trow. It
 * says what would go and asks before anything does.
 */
import { Command } from 'commander'
import { StartError } from '../lib/start-error.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import { printable } from '../oci/upstream-error.ts'
import { type Deleted, describeDeleted } from './deleted-content.ts'
import { addFormatOptions } from './format-options.ts'

import { explainFailure } from './registry-failure.ts'
import { addRegistryOptions, openTrow, type RegistryFlags } from './registry-options.ts'
import { type ContentPlace, parseContentPlace } from './registry-place.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

interface RemoveFlags extends RegistryFlags {
  readonly yes?: boolean
  readonly dryRun?: boolean
  readonly format: 'text' | 'json'
}

export function rmCommand(terminal: Terminal = processTerminal): Command {
  const command = new Command('rm')
    .description('delete images or whole repositories from a running Trow')
    .argument('<reference...>', 'registry[:port]/repository[:tag|@digest]')
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'say what would be deleted, and delete nothing')
  addFormatOptions(command, ['text', 'json'])
  return addRegistryOptions(command).action(async (references: string[], flags: RemoveFlags) => {
    try {
      await remove(references.map(parseContentPlace), flags, terminal)
    } catch (error) {
      throw explainFailure(error, flags)
    }
  })
}

async function remove(
  places: readonly ContentPlace[],
  flags: RemoveFlags,
  terminal: Terminal,
): Promise<void> {
  if (flags.yes !== true || flags.dryRun === true) {
    for (const place of places) {
      const found = await deleteAt(place, flags, terminal, true)
      terminal.write(
        flags.format === 'json' && flags.dryRun === true
          ? `${JSON.stringify(found)}\n`
          : `would delete ${describeDeleted(nameOf(place), found)}\n`,
      )
    }
  }
  if (flags.dryRun === true) return
  if (flags.yes !== true) await confirm(places.length, terminal)
  for (const place of places) {
    const deleted = await deleteAt(place, flags, terminal, false)
    terminal.write(
      flags.format === 'json'
        ? `${JSON.stringify(deleted)}\n`
        : `deleted ${describeDeleted(nameOf(place), deleted)}\n`,
    )
  }
}

async function confirm(count: number, terminal: Terminal): Promise<void> {
  const answer = await terminal.ask(`Delete ${count === 1 ? 'it' : `all ${count}`}? [y/N] `)
  if (answer === undefined) throw usageError('nobody can be asked here: say --yes to delete')
  if (!/^y(?:es)?$/i.test(answer.trim())) throw new StartError('nothing was deleted')
}

async function deleteAt(
  place: ContentPlace,
  flags: RemoveFlags,
  terminal: Terminal,
  dryRun: boolean,
): Promise<Deleted> {
  const { signal } = new AbortController()
  await using trow = await openTrow(place, flags, terminal, { signal, connectionsMax: 1 })
  const repository: RepositoryName = place.repository
  return await trow.deleteContent({ repository, reference: place.reference, dryRun }, signal)
}

function nameOf({ repository, reference }: ContentPlace): string {
  if (reference === undefined) return `all of ${repository}`
  return printable(`${repository}${reference.includes(':') ? '@' : ':'}${reference}`)
}
