// Entries, settings and drivers of upstreams with nothing in them but what a test is about.

import { parseRegistryHost } from '../../src/oci/image-reference.ts'
import { parseRepositoryName } from '../../src/oci/repository-name.ts'
import type { UpstreamRepository } from '../../src/registry/ports/upstream.ts'
import type { UpstreamParts } from '../../src/upstream/upstream-clients.ts'
import type { UpstreamEntry, UpstreamSettings } from '../../src/upstream/upstream-settings.ts'
import { Upstreams } from '../../src/upstream/upstreams.ts'
import { FakeTimer } from './fake-timer.ts'
import type { FakeUpstream } from './fake-upstream.ts'

export function entryOf(host: string, options: Partial<UpstreamEntry> = {}): UpstreamEntry {
  return { host, insecure: false, skipVerify: false, endpoints: [], ...options }
}

/** The entry by which a fake upstream over plain http is reached. */
export function entryFor(
  { host }: Pick<FakeUpstream, 'host'>,
  options: Partial<UpstreamEntry> = {},
): UpstreamEntry {
  return entryOf(host, { insecure: true, ...options })
}

export function settingsOf(
  registries: readonly UpstreamEntry[],
  options: Partial<UpstreamSettings> = {},
): UpstreamSettings {
  return { offline: false, allowUnlisted: true, registries, ...options }
}

export interface TestUpstreams extends AsyncDisposable {
  readonly upstreams: Upstreams
  readonly timer: FakeTimer
}

/** Upstreams without patience: time passes when somebody waits, or a test says so. */
export function upstreamsOf(
  settings: UpstreamSettings,
  parts: Partial<UpstreamParts> = {},
): TestUpstreams {
  const timer = new FakeTimer()
  const proxyName = 'trow-0123456789abcdef'
  const upstreams = new Upstreams(settings, { timer, random: () => 0.5, proxyName, ...parts })
  return { upstreams, timer, [Symbol.asyncDispose]: () => upstreams[Symbol.asyncDispose]() }
}

export function targetOf(
  { host }: { readonly host: string },
  repository: string,
): UpstreamRepository {
  return { host: parseRegistryHost(host), repository: parseRepositoryName(repository) }
}
