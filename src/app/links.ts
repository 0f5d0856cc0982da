/** The record of manifests and tags beside the database, kept by a running server. */
import { limits } from '../config/limits.ts'
import { LinkKeeper } from '../registry/link-keeper.ts'
import type { Log } from '../registry/request-context.ts'
import type { Stores } from './stores.ts'

interface Parts {
  readonly stores: Stores
  readonly log: Log
  readonly resources: AsyncDisposableStack
}

export function keepLinks({ stores, log, resources }: Parts): LinkKeeper {
  const keeper = new LinkKeeper(
    { ...stores, log },
    {
      perWriteMax: limits.linksPerWrite,
      rowsPerPage: limits.scrubbedRowsPerPage,
      tidySeconds: limits.linksTidySeconds,
      slackBytes: limits.linksSlackBytes,
    },
  )
  keeper.start()
  resources.use(keeper)
  return keeper
}
