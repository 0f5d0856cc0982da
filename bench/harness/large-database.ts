// The database of a registry that is large: rows are put into that of one that has an image, whose
// manifest every tag points at. There are no bytes behind the other blobs; nobody asks for them.

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export interface Size {
  readonly tags: number
  readonly repositories: number
  readonly blobs: number
}

/** Of a stopped registry. @param repository that gets the tags, and has one already. */
export function enlargeDatabase(dataDirectory: string, repository: string, size: Size): void {
  using database = new DatabaseSync(join(dataDirectory, 'metadata.db'))
  database.function('random_digest', () => `sha256:${randomBytes(32).toString('hex')}`)
  const run = (sql: string, ...values: (string | number)[]): void => {
    database.prepare(sql).run(...values)
  }
  const numbers =
    'with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n + 1 < ?)'
  const first = '(select min(id) from repositories where name like ?)'
  run('begin')
  run(
    `insert into repositories (name, created_at) ${numbers}
     select printf('many/repository-%06d', n), 0 from numbers`,
    size.repositories,
  )
  run(
    `insert into blobs (digest, size, created_at) ${numbers}
     select random_digest(), 1000, 0 from numbers`,
    size.blobs,
  )
  run(
    `insert into repository_blobs (repository_id, digest, created_at, asked_at)
     select ${first} + rowid % ?, digest, 0, 0 from blobs where size = 1000`,
    'many/%',
    size.repositories,
  )
  run(
    `insert into tags (repository_id, name, digest, updated_at) ${numbers}
     select repository_id, printf('tag-%06d', n), digest, 0
     from numbers, (select repository_id, digest from tags
       join repositories on repositories.id = repository_id where repositories.name = ?)`,
    size.tags,
    repository,
  )
  // Their links on disk were made long ago.
  run('delete from link_changes')
  run('commit')
}
