// A registry client for a fake upstream, without patience: waits take no time and are remembered.

import { parseRegistryHost } from '../../src/oci/image-reference.ts'
import { RegistryClient, type RegistryClientOptions } from '../../src/upstream/client.ts'
import { Transport, type TransportOptions } from '../../src/upstream/transport.ts'
import { FakeTimer } from './fake-timer.ts'
import type { FakeUpstream } from './fake-upstream.ts'

export interface TestClientOptions extends Partial<Omit<RegistryClientOptions, 'transport'>> {
  readonly transport?: TransportOptions
}

export function clientOf(
  upstream: Pick<FakeUpstream, 'host' | 'origin'>,
  options: TestClientOptions = {},
): RegistryClient {
  const { transport, ...rest } = options
  return new RegistryClient({
    registry: parseRegistryHost(upstream.host),
    schemes: [upstream.origin.startsWith('https:') ? 'https' : 'http'],
    timer: new FakeTimer(),
    random: () => 0.5,
    ...rest,
    transport: new Transport(transport),
  })
}
