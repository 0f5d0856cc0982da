/** The data directory of a Trow that does not run, opened to be written to by `trow import`. */
import type { Config } from '../config/config.ts'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { DataDirectoryDestination } from '../moving/data-directory-destination.ts'
import { Mounts } from '../registry/mounts.ts'
import { Uploads } from '../registry/uploads.ts'
import { listVolumeNames } from '../storage/filesystem/volume-names.ts'
import { makeContent } from './content.ts'
import { keepLinks } from './links.ts'
import { nobodys, quiet } from './offline.ts'
import { openStores } from './stores.ts'

/**
 * It is made where there is none; a directory with other things in it is not taken for one.
 * @throws StartError, also when a process uses it.
 */
export async function openImportTarget(
  config: Config,
  signal: AbortSignal,
): Promise<DataDirectoryDestination> {
  await refuseOtherDirectory(config.dataDir)
  await using resources = new AsyncDisposableStack()
  const { stores } = await openStores(config, resources)
  const uploads = new Uploads(stores, { digestersMax: limits.uploadDigestersMax })
  await uploads.removeLeftovers()
  const links = keepLinks({ stores, log: quiet, resources })
  const { manifests } = makeContent({ config, stores, onReload: [] }, nobodys, links)
  return new DataDirectoryDestination({
    ...stores,
    uploads,
    mounts: new Mounts(stores, { candidatesMax: limits.mountCandidatesMax }),
    manifests,
    context: {
      id: 'import',
      log: quiet,
      signal,
      via: [],
      principal: { name: 'import', may: () => true },
    },
    resources: resources.move(),
  })
}

async function refuseOtherDirectory(path: string): Promise<void> {
  const names = await listVolumeNames(path).catch((): string[] => [])
  const isOther = names.length > 0 && !names.includes('format.json')
  if (isOther && !names.includes('trow.db')) {
    throw new StartError(
      `${path} is neither empty nor a data directory of Trow: it has no format.json`,
    )
  }
}
