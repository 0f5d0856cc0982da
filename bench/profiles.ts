// `npm run bench -- --profile`: the three hottest paths under load with V8's profiler on. The
// profiles stay in bench/profiles/, for the performance panel of any Chromium; what is printed of
// each is where most of the time went.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Bench } from './harness/bench.ts'
import { Content, pushImage, type StoredImage } from './harness/content.ts'
import { summarizeProfile } from './harness/cpu-profile.ts'
import { wrk } from './harness/load.ts'
import { pushBlobs } from './harness/pushing.ts'
import { renderTable } from './harness/results.ts'
import type { Server } from './harness/server.ts'
import { startTrow } from './harness/trow.ts'

const root = fileURLToPath(new URL('profiles/', import.meta.url))
const MiB = 1024 * 1024
const seconds = 6

interface HotPath {
  readonly name: string
  readonly load: (server: Server, image: StoredImage) => Promise<unknown>
}

const hotPaths: readonly HotPath[] = [
  {
    name: 'manifest-get',
    load: (server, { repository, tag }) =>
      wrk(server, `/v2/${repository}/manifests/${tag}`, { connections: 32, seconds }),
  },
  {
    name: 'blob-get',
    load: (server, { repository, blobs }) =>
      wrk(server, `/v2/${repository}/blobs/${blobs.at(-1)?.digest}`, { connections: 8, seconds }),
  },
  {
    name: 'push',
    load: ({ url }) =>
      pushBlobs({
        url,
        repository: 'bench/pushed',
        blobBytes: 16 * MiB,
        count: 128,
        parallel: 16,
      }),
  },
]

export async function captureProfiles(bench: Bench): Promise<void> {
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage('bench/app', [1_000, 1_000, 1_000, 1_000, 1_000, MiB])
  for (const path of hotPaths) {
    bench.say(path.name)
    const summary = await captureProfile(bench, path, image)
    console.log(`\n${path.name}\n\n${summary}`)
  }
}

async function captureProfile(
  bench: Bench,
  { name, load }: HotPath,
  image: StoredImage,
): Promise<string> {
  const directory = join(root, name)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  await using server = await startTrow(bench, { profileDirectory: directory })
  await pushImage(server.url, image)
  // Once without counting: code is compiled, caches are filled.
  await load(server, image)
  const from = process.hrtime.bigint()
  await load(server, image)
  const to = process.hrtime.bigint()
  await server.stop()
  const summary = renderTable(summarizeProfile(directory, { from, to }))
  writeFileSync(join(directory, 'summary.txt'), `${summary}\n`)
  return summary
}
