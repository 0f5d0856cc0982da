/** The part of `trow ls` that lists a registry's repositories, with how many tags each has. */
import { StartError } from '../lib/start-error.ts'
import type { RepositoryName } from '../oci/repository-name.ts'
import type { RegistryClient } from '../upstream/client.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { explained, writeEntries } from './entry-list.ts'
import { jsonWriter, nameWriter, tableWriter } from './entry-writer.ts'
import { formatCount } from './format.ts'
import type { ListFlags } from './list-flags.ts'
import type { Terminal } from './terminal.ts'

interface RepositoryEntry {
  readonly name: RepositoryName
  /** How many tags it has. */
  readonly tags?: number
  readonly error?: string
}

export async function listRepositories(
  client: RegistryClient,
  flags: ListFlags,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<void> {
  const names = client.listRepositories(signal)
  const failed = await writeEntries<RepositoryName, RepositoryEntry>({
    names: explained(names, (error) => withoutCatalog(error, client.registry)),
    noun: 'repository',
    nameOnly: (name) => ({ name }),
    complete: async (name) => await countTags(client, name, signal),
    writer: (write) => {
      if (flags.json) return jsonWriter(write, { registry: client.registry }, 'repositories')
      return flags.quiet ? nameWriter(write) : tableWriter(write, terminal, repositoryColumns)
    },
    quiet: flags.quiet === true,
    place: client.registry,
    terminal,
  })
  if (failed > 0) throw new StartError(`${formatCount(failed, 'repository')} could not be read`)
}

async function countTags(
  client: RegistryClient,
  name: RepositoryName,
  signal: AbortSignal,
): Promise<RepositoryEntry> {
  let tags = 0
  try {
    for await (const _tag of client.listTags(name, signal)) tags += 1
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    // Distribution answers 404 for a repository whose content was deleted and keeps its name.
    if (error.status === 404) return { name, tags: 0 }
    if (!statusesOfOne.has(error.status ?? 0)) throw error
    return { name, error: error.message }
  }
  return { name, tags }
}

/** One that we may not see, or of a registry behind this one that cannot be asked. */
const statusesOfOne = new Set([401, 403, 502, 504])

const repositoryColumns = {
  titles: ['REPOSITORY', 'TAGS'],
  numeric: ['TAGS'],
  rowsOf: ({ name, tags }: RepositoryEntry) => [[name, tags === undefined ? '-' : String(tags)]],
}

/** The catalog is no part of the specification, and public registries have none. */
export function noCatalog(registry: string, cause?: UpstreamError): StartError {
  const reason = cause === undefined ? '' : ` (it answered ${cause.status})`
  return new StartError(
    `${registry} does not list its repositories${reason}; ` +
      `name one to see its tags: trow ls ${registry}/REPOSITORY`,
    { cause },
  )
}

const withoutCatalogStatuses = new Set([400, 403, 404, 405, 501])

function withoutCatalog(error: unknown, registry: string): unknown {
  const isMissing = error instanceof UpstreamError && withoutCatalogStatuses.has(error.status ?? 0)
  return isMissing ? noCatalog(registry, error) : error
}
