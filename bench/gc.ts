// Garbage collection of a large registry: how long one pass takes, what it does to those who pull
// meanwhile, and whether memory stays flat.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Bench, Benchmark, Outcome } from './harness/bench.ts'
import { Client } from './harness/client.ts'
import { Content, pushImage, type StoredImage } from './harness/content.ts'
import type { Server } from './harness/server.ts'
import { growthOf, percentile } from './harness/statistics.ts'
import { startTrow } from './harness/trow.ts'

export const gc: Benchmark = {
  name: 'gc',
  title: 'Garbage collection of a million blobs',
  method:
    'A database of a million blobs in a thousand repositories, ten for each manifest; one in a hundred is ' +
    "nobody's and is removed. One client pulls a manifest and a blob of 64 KiB, one request after the " +
    'other, without a pass and during one. Flat: the median of resident memory in the last third of the ' +
    'pass beside that in the second third.',
  run: measureCollection,
}

const MiB = 1024 * 1024
const repositories = 1_000
const blobsPerManifest = 10
const quietSeconds = 10

interface Pulled {
  readonly milliseconds: readonly number[]
  /** Resident, one for each image. */
  readonly memoryBytes: readonly number[]
}

async function measureCollection(bench: Bench): Promise<Outcome> {
  const blobs = bench.isQuick ? 10_000 : 1_000_000
  const content = new Content(bench.scratch.directory('content'))
  const image = content.addImage('bench/app', [64 * 1024])
  const options = { dataDirectory: join(bench.scratch.directory('stored'), 'data') }
  const first = await startTrow(bench, options)
  await pushImage(first.url, image)
  await first.stop()
  bench.say(`making ${blobs} blobs`)
  fill(join(options.dataDirectory, 'metadata.db'), blobs)
  await using server = await startTrow(bench, options)
  const quiet = await pullUntil(server, image, untilSeconds(bench.isQuick ? 1 : quietSeconds))
  bench.say('collecting')
  const started = performance.now()
  const pass = fetch(`${server.url}/api/gc`, { method: 'POST' }).then((reply) => reply.text())
  let isOver = false
  const ended = pass.finally(() => {
    isOver = true
  })
  const busy = await pullUntil(server, image, () => isOver)
  const events = await ended
  const seconds = (performance.now() - started) / 1000
  if (!events.includes('"report"')) throw new Error(`the pass failed: ${events.slice(-500)}`)
  const idle = server.memory().residentBytes
  const columns = ['while', 'requests', 'median ms', 'p99 ms', 'slowest ms', 'peak MiB']
  const rows = [rowOf('nothing is collected', quiet), rowOf('a pass runs', busy)]
  const p99 = ({ milliseconds }: Pulled): number => percentile(milliseconds, 99)
  return {
    tables: [{ columns, rows }],
    aims: [
      { about: 'one pass', atMost: 60, measured: seconds, unit: ' s' },
      {
        about: 'p99 of pulls, of that without a pass',
        atMost: 2,
        measured: p99(busy) / p99(quiet),
        unit: 'x',
      },
      {
        about: 'flat during the pass',
        atMost: 1.1,
        measured: growthOf(busy.memoryBytes),
        unit: 'x',
      },
      { about: 'memory afterwards', atMost: 200, measured: idle / MiB, unit: ' MiB' },
    ],
  }
}

/** Rows as pushes would have made them, with nothing on the disk. */
function fill(path: string, blobs: number): void {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; BEGIN')
  const insert = (sql: string) => database.prepare(sql)
  const addRepository = insert(
    'insert into repositories (name, created_at) values (?, 1) returning id',
  )
  const addContent = insert('insert into blobs values (?, 1000, 1)')
  const addBlob = insert(
    'insert into repository_blobs (repository_id, digest, created_at, asked_at) values (?, ?, 1, 1)',
  )
  const addManifest = insert(
    "insert into manifests (repository_id, digest, media_type, size, created_at) values (?, ?, 'application/vnd.oci.image.manifest.v1+json', 1000, 1)",
  )
  const addReference = insert("insert into manifest_references values (?, ?, ?, 'blob')")
  let number = 0
  const digest = (): string => {
    number += 1
    // In no order, as digests are.
    return `sha256:${((number * 2_654_435_761) % 2 ** 32).toString(16).padStart(8, '0')}${String(number).padStart(56, '0')}`
  }
  for (let index = 0; index < repositories; index += 1) {
    const id = Number(addRepository.get(`bench/${index}`)?.['id'])
    let manifest = ''
    for (let blob = 0; blob < blobs / repositories; blob += 1) {
      if (blob % blobsPerManifest === 0) {
        manifest = digest()
        addContent.run(manifest)
        addManifest.run(id, manifest)
      }
      const name = digest()
      addContent.run(name)
      addBlob.run(id, name)
      // One in a hundred is of no manifest.
      if (blob % 100 !== 50) addReference.run(id, manifest, name)
    }
  }
  // Their links on disk were made long ago.
  database.exec('DELETE FROM link_changes; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)')
  database.close()
}

function untilSeconds(seconds: number): () => boolean {
  const end = performance.now() + seconds * 1000
  return () => performance.now() > end
}

async function pullUntil(
  server: Server,
  image: StoredImage,
  isOver: () => boolean,
): Promise<Pulled> {
  using client = new Client(server.url)
  const milliseconds: number[] = []
  const memoryBytes: number[] = []
  const paths = [
    `/v2/${image.repository}/manifests/${image.tag}`,
    `/v2/${image.repository}/blobs/${image.blobs.at(-1)?.digest}`,
  ]
  do {
    for (const path of paths) milliseconds.push((await client.get(path)).totalMs)
    memoryBytes.push(server.memory().residentBytes)
  } while (!isOver())
  return { milliseconds, memoryBytes }
}

function rowOf(name: string, { milliseconds, memoryBytes }: Pulled): string[] {
  return [
    name,
    String(milliseconds.length),
    percentile(milliseconds, 50).toFixed(2),
    percentile(milliseconds, 99).toFixed(2),
    percentile(milliseconds, 100).toFixed(1),
    (percentile(memoryBytes, 100) / MiB).toFixed(0),
  ]
}
