/** The part of `trow ls` that lists a repository's tags, with what each of them names. */
import { StartError } from '../lib/start-error.ts'
import { UpstreamError } from '../oci/upstream-error.ts'
import { explained, writeEntries } from './entry-list.ts'
import { jsonWriter, nameWriter, tableWriter } from './entry-writer.ts'
import { formatBytes, formatCount, shortDigest } from './format.ts'
import type { RemoteRepository } from './image-content.ts'
import type { ListFlags } from './list-flags.ts'
import { type TagEntry, type TagImage, TagReader } from './tag-entry.ts'
import { unknownRepository } from './registry-failure.ts'
import type { Terminal } from './terminal.ts'

export async function listTags(
  remote: RemoteRepository,
  flags: ListFlags,
  terminal: Terminal,
): Promise<void> {
  const { client, repository, signal } = remote
  const reader = new TagReader(remote)
  const failed = await writeEntries({
    names: explained(client.listTags(repository, signal), (error) =>
      withoutRepository(error, remote),
    ),
    noun: 'tag',
    nameOnly: (name): TagEntry => ({ name }),
    complete: async (name) => await reader.readTag(name),
    writer: (write) => {
      const head = { registry: client.registry, repository }
      if (flags.json) return jsonWriter(write, head, 'tags')
      return flags.quiet ? nameWriter(write) : tableWriter(write, terminal, tagColumns(flags))
    },
    quiet: flags.quiet === true,
    place: `${client.registry}/${repository}`,
    terminal,
  })
  if (failed > 0) throw new StartError(`${formatCount(failed, 'tag')} could not be read`)
}

function tagColumns({ digests }: ListFlags) {
  const show = (digest = '-') => (digests ? digest : shortDigest(digest))
  const sizeOf = ({ size }: TagImage) => (size === undefined ? 'missing' : formatBytes(size))
  return {
    titles: ['TAG', 'DIGEST', 'SIZE', 'PLATFORM'],
    numeric: ['SIZE'],
    /** The first row names the tag; those below are the other platforms of its index. */
    rowsOf: ({ name, digest, artifactType, images = [], error }: TagEntry) => {
      if (error !== undefined) return [[name, '-', '-', '-']]
      const rows = images.map((image, i) => [
        i === 0 ? name : '',
        i === 0 ? show(digest) : '',
        sizeOf(image),
        image.platform ?? artifactType ?? '-',
      ])
      return rows.length === 0 ? [[name, show(digest), '-', '-']] : rows
    },
  }
}

function withoutRepository(error: unknown, { client, repository }: RemoteRepository): unknown {
  const isMissing = error instanceof UpstreamError && error.status === 404
  return isMissing ? unknownRepository(client.registry, repository, error) : error
}
