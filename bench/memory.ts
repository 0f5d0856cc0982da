// How much memory the server takes: idle, and while it moves much more than it could hold, slow
// clients among the others. What grows with the number of bytes or clients shows here.

import { setTimeout as delay } from 'node:timers/promises'
import type { Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Content, pushImage, type StoredImage } from './harness/content.ts'
import { curl } from './harness/load.ts'
import { findPeers } from './harness/peers.ts'
import { pushBlobs } from './harness/pushing.ts'
import type { MemoryUse, Server } from './harness/server.ts'
import { growthOf } from './harness/statistics.ts'
import { startTrow } from './harness/trow.ts'

export const memory: Benchmark = {
  name: 'memory',
  title: 'Memory',
  method:
    'Resident memory (VmRSS) idle, and every 50 ms while 32 pushes and 32 pulls of 256 MiB run at the ' +
    'same time, 8 of each at 8 MiB/s. Flat: the median of the last third of the time beside that of ' +
    'the second third.',
  run: measureMemory,
}

const MiB = 1024 * 1024
const sampleMs = 50
/** After its start a process compiles and collects for a while. */
const idleSeconds = 3

interface Figures {
  readonly name: string
  readonly idle: number
  readonly peak: number
  readonly peakAnonymous: number
  readonly growth: number
}

async function measureMemory(bench: Bench): Promise<Outcome> {
  const blobBytes = (bench.isQuick ? 8 : 256) * MiB
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage('bench/app', [blobBytes])
  const figures: Figures[] = []
  const registries = [{ start: () => startTrow(bench) }, ...findPeers(bench)]
  for (const { start } of registries) {
    await using server = await start()
    bench.say(server.name)
    figures.push(await measureServer(server, image, blobBytes))
  }
  const [trow] = figures
  if (trow === undefined) throw new Error('Trow was measured first')
  const columns = ['server', 'idle MiB', 'peak MiB', 'of it anonymous', 'last to second third']
  const rows = figures.map(({ name, idle, peak, peakAnonymous, growth }) => [
    name,
    idle.toFixed(0),
    peak.toFixed(0),
    peakAnonymous.toFixed(0),
    growth.toFixed(2),
  ])
  return {
    tables: [{ columns, rows }],
    aims: [
      { about: 'idle', atMost: 75, measured: trow.idle, unit: ' MiB' },
      { about: 'peak under load', atMost: 128, measured: trow.peak, unit: ' MiB' },
      { about: 'flat under load', atMost: 1.1, measured: trow.growth, unit: 'x' },
    ],
  }
}

async function measureServer(
  server: Server,
  image: StoredImage,
  blobBytes: number,
): Promise<Figures> {
  await delay(idleSeconds * 1000)
  const idle = server.memory().residentBytes / MiB
  await pushImage(server.url, image)
  const samples = await sampleDuring(server, () => moveBytes(server, image, blobBytes))
  const resident = samples.map(({ residentBytes }) => residentBytes / MiB)
  return {
    name: server.name,
    idle,
    peak: Math.max(...resident),
    peakAnonymous: Math.max(...samples.map(({ anonymousBytes }) => anonymousBytes / MiB)),
    growth: growthOf(resident),
  }
}

const clients = 32
const slowClients = 8
const slowBytesPerSecond = 8 * MiB

async function moveBytes(server: Server, image: StoredImage, blobBytes: number): Promise<void> {
  const path = `/v2/${image.repository}/blobs/${image.blobs.at(-1)?.digest}`
  const pulls = Array.from({ length: clients }, (_, index) =>
    curl(server.url, [path], index < slowClients ? { bytesPerSecondMax: slowBytesPerSecond } : {}),
  )
  const push = pushBlobs({
    url: server.url,
    repository: 'bench/pushed',
    blobBytes,
    count: clients,
    parallel: clients,
    slow: { count: slowClients, bytesPerSecond: slowBytesPerSecond },
  })
  await Promise.all([...pulls, push])
}

async function sampleDuring(server: Server, work: () => Promise<void>): Promise<MemoryUse[]> {
  const samples: MemoryUse[] = []
  const timer = setInterval(() => samples.push(server.memory()), sampleMs)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return samples
}
