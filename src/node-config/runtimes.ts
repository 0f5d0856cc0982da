/** The runtimes whose nodes Trow can configure itself. Bottlerocket's is containerd. */
import { Containerd } from './containerd.ts'
import { Rancher } from './rancher.ts'
import { RegistriesConf } from './registries-conf.ts'
import type { NodePlaces, Runtime } from './runtime.ts'

export const installableNames = ['containerd', 'crio', 'k3s', 'rke2', 'podman'] as const

export type InstallableName = (typeof installableNames)[number]

export function makeRuntime(name: InstallableName, places: NodePlaces): Runtime {
  switch (name) {
    case 'containerd':
      return new Containerd(places)
    case 'crio':
      return new RegistriesConf(['CRI-O reads it after: systemctl reload crio'])
    case 'podman':
      return new RegistriesConf([])
    case 'k3s':
    case 'rke2':
      return new Rancher(name)
  }
}
