/**
 * Queries of busy paths, built once: to build one and turn it into SQL takes longer than SQLite
 * takes to answer it.
 */
import type { Compilable, CompiledQuery, QueryResult } from 'kysely'
import type { Executor } from './repositories.ts'

export type Values = Readonly<Record<string, string | number | null>>

/** What is in the place of a value in a query until it is asked. */
class Placeholder {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

/** Any name that is asked of it becomes a placeholder. */
const placeholders = new Proxy({}, { get: (_, name) => new Placeholder(String(name)) })

/** @param build is called once, with placeholders: it can do nothing with a value but hand it on. */
export function prepared<V extends Values, R>(
  build: (db: Executor, values: V) => Compilable<R>,
): (db: Executor, values: V) => Promise<QueryResult<R>> {
  let query: CompiledQuery<R> | undefined
  return (db, values) => {
    query ??= build(db, placeholders as V).compile()
    const parameters = query.parameters.map((parameter) =>
      parameter instanceof Placeholder ? values[parameter.name] : parameter,
    )
    return db.executeQuery<R>({ ...query, parameters })
  }
}
