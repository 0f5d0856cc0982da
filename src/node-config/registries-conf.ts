/**
 * CRI-O, podman, buildah and skopeo (containers-registries.conf(5)): an entry for each registry, as
 * there is none for all of them, whose mirror has the registry in its path (`f/<host>`). Ours are a
 * file of their own beside those of others; podman reads it at once, CRI-O when it is told to.
 */
import { join } from 'node:path'
import type { RegistryHost } from '../oci/image-reference.ts'
import { StartError } from '../lib/start-error.ts'
import { formatProxiedHost } from '../oci/proxied-name.ts'
import { authorityFile, wantAuthority } from './authority-file.ts'
import type { Mirror } from './mirror.ts'
import type { NodeRoot } from './node-root.ts'
import {
  allRegistries,
  type Findings,
  type NodeSettings,
  type Runtime,
  type WantedFile,
} from './runtime.ts'

const file = '/etc/containers/registries.conf.d/trow.conf'
const authorities = '/etc/containers/certs.d'

/** What "all registries" means to a runtime that needs their names. */
export const wellKnownRegistries = [
  'docker.io',
  'gcr.io',
  'ghcr.io',
  'mcr.microsoft.com',
  'public.ecr.aws',
  'quay.io',
  'registry.gitlab.com',
  'registry.k8s.io',
] as unknown as readonly RegistryHost[]

export class RegistriesConf implements Runtime {
  readonly #notes: readonly string[]

  /** @param notes what has to be done so that the runtime reads the file. */
  constructor(notes: readonly string[]) {
    this.#notes = notes
  }

  listWanted(settings: NodeSettings): Promise<WantedFile[]> {
    for (const { authority } of settings.mirrors) {
      if (authority.startsWith('[')) throw noAddress(authority)
    }
    const wanted = settings.mirrors
      .filter(({ isSecure }) => isSecure)
      .flatMap(({ authority }) =>
        wantAuthority(settings, join(authorities, authority, authorityFile)),
      )
    // A file of ours alone: what others have in it is not ours to carry on.
    wanted.push({ path: file, render: () => formatRegistriesConf(settings) })
    return Promise.resolve(wanted)
  }

  async listPlaces(node: NodeRoot): Promise<string[]> {
    const names = await node.listNames(authorities)
    return [file, ...names.map((name) => join(authorities, name, authorityFile))]
  }

  inspect(): Promise<Findings> {
    return Promise.resolve({ problems: [], notes: this.#notes })
  }
}

/** With one of these in the file they pull nothing at all any more: "invalid reference format". */
function noAddress(authority: string): StartError {
  const reason = 'names of images, and so registries.conf, cannot hold an IPv6 address'
  return new StartError(`--mirror: ${reason} (${authority}); use a name`, { exitCode: 2 })
}

export function formatRegistriesConf(settings: NodeSettings): string {
  const named = settings.registries.flatMap((name) =>
    name === allRegistries ? wellKnownRegistries : [name],
  )
  return [...new Set(named)].map((registry) => formatRegistry(registry, settings)).join('\n')
}

function formatRegistry(registry: RegistryHost, { mirrors, isFallingBack }: NodeSettings): string {
  const located = mirrors.map((mirror) => formatLocation(mirror, registry))
  if (isFallingBack) {
    const entries = located.map((lines) => `\n[[registry.mirror]]\n${lines}`)
    return `[[registry]]\nlocation = ${JSON.stringify(registry)}\n${entries.join('')}`
  }
  // The last mirror is the registry then.
  const [last, ...others] = located.reverse()
  const entries = others.reverse().map((lines) => `\n[[registry.mirror]]\n${lines}`)
  return `[[registry]]\nprefix = ${JSON.stringify(registry)}\n${last}${entries.join('')}`
}

function formatLocation({ authority, isSecure }: Mirror, registry: RegistryHost): string {
  const location = `${authority}/${formatProxiedHost(registry)}`
  return `location = ${JSON.stringify(location)}\n${isSecure ? '' : 'insecure = true\n'}`
}
