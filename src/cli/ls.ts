/**
 * `trow ls [REGISTRY[/REPOSITORY]]`: the repositories of any registry, or the tags of one of its
 * repositories. The list is written as it comes in, so its length does not matter.
 */
import { Command } from 'commander'
import { dockerHub } from '../oci/image-reference.ts'
import type { ListFlags } from './list-flags.ts'
import { listRepositories, noCatalog } from './ls-repositories.ts'
import { listTags } from './ls-tags.ts'
import { explainFailure } from './registry-failure.ts'
import { addRegistryOptions, openRegistry } from './registry-options.ts'
import { parsePlace, type RegistryPlace } from './registry-place.ts'
import { processTerminal, type Terminal } from './terminal.ts'

const defaultPlace = 'localhost:8000'

export function lsCommand(terminal: Terminal = processTerminal): Command {
  const command = new Command('ls')
    .description('list the repositories of any registry, or the tags of a repository')
    .argument('[registry[/repository]]', 'where to look', defaultPlace)
    .option('--json', 'print JSON, with full digests and sizes in bytes')
    .option('--digests', 'print full digests')
    .option('-q, --quiet', 'print the names only, which asks the registry for nothing else')
  return addRegistryOptions(command).action(async (text: string, flags: ListFlags) => {
    try {
      await list(parsePlace(text), flags, terminal)
    } catch (error) {
      throw explainFailure(error, flags)
    }
  })
}

async function list(place: RegistryPlace, flags: ListFlags, terminal: Terminal): Promise<void> {
  const { signal } = new AbortController()
  const { registry, repository } = place
  if (repository === undefined && registry === dockerHub) throw noCatalog(registry)
  await using client = await openRegistry(place, flags, terminal, signal)
  await (repository === undefined
    ? listRepositories(client, flags, terminal, signal)
    : listTags({ client, repository, signal }, flags, terminal))
}
