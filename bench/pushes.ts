// Pushing layers: bytes in, hashed, written and synced before the answer.

import { rm } from 'node:fs/promises'
import type { Aim, Bench, Benchmark, Outcome } from './harness/bench.ts'
import { measured, type Sample } from './harness/load.ts'
import { findPeers, type Peer } from './harness/peers.ts'
import { pushBlobs } from './harness/pushing.ts'
import type { Server } from './harness/server.ts'
import { interleave, medianOf, ratioOf, type Rounds } from './harness/statistics.ts'
import { startTrow } from './harness/trow.ts'

export const pushes: Benchmark = {
  name: 'pushes',
  title: 'Blobs: push',
  method:
    'New blobs, pushed as docker does (POST, PATCH with all bytes, PUT), one after the other or 16 at ' +
    'a time, each case to a new process on an empty directory, after 128 blobs of 1 MiB that are not counted. ' +
    'All servers sync a blob to disk before they answer (zot as told by `commit`, it does not by default); ' +
    'Trow syncs directory and database, too.',
  run: measurePushes,
}

const MiB = 1024 * 1024

interface Case {
  readonly name: string
  readonly blobBytes: number
  readonly count: number
  readonly parallel: number
  readonly rounds: number
}

/** What a process does first is slow: code is compiled, directories are made. */
const warmUp = { blobBytes: MiB, count: 128, parallel: 4 } as const

const cases: readonly Case[] = [
  { name: '1 MiB, 1 at a time', blobBytes: MiB, count: 64, parallel: 1, rounds: 5 },
  { name: '1 MiB, 16 at a time', blobBytes: MiB, count: 256, parallel: 16, rounds: 5 },
  { name: '100 MiB, 1 at a time', blobBytes: 100 * MiB, count: 4, parallel: 1, rounds: 3 },
  { name: '100 MiB, 16 at a time', blobBytes: 100 * MiB, count: 16, parallel: 16, rounds: 3 },
  { name: '1 GiB, 1 at a time', blobBytes: 1024 * MiB, count: 1, parallel: 1, rounds: 3 },
]

/** 16 GiB for each server. */
const fullCases: readonly Case[] = [
  ...cases,
  { name: '1 GiB, 16 at a time', blobBytes: 1024 * MiB, count: 16, parallel: 16, rounds: 1 },
]

const quickCases: readonly Case[] = [
  { name: '1 MiB, 16 at a time', blobBytes: MiB, count: 32, parallel: 16, rounds: 1 },
]

async function measurePushes(bench: Bench): Promise<Outcome> {
  const peers = findPeers(bench)
  const registries = [{ name: 'trow', start: () => startTrow(bench) }, ...peers]
  const rows: string[][] = []
  const aims: Aim[] = []
  for (const one of casesOf(bench)) {
    bench.say(one.name)
    const subjects = registries.map(({ name, start }) => ({
      name,
      measure: () => pushOnce(one, start),
    }))
    const rounds = await interleave(one.rounds, subjects)
    rows.push(...registries.map(({ name }) => rowOf(one, name, rounds)))
    aims.push(...peers.map((peer) => aimOf(one, peer, rounds)))
  }
  const columns = ['blobs', 'server', 'MiB/s', 'of docker-registry', 'CPU s/GiB']
  return { tables: [{ columns, rows }], aims }
}

function casesOf({ isQuick, isFull }: Bench): readonly Case[] {
  if (isQuick) return quickCases
  return isFull ? fullCases : cases
}

async function pushOnce(one: Case, start: () => Promise<Server>): Promise<Sample> {
  await using server = await start()
  const to = { url: server.url, repository: 'bench/app' }
  await pushBlobs({ ...to, ...warmUp })
  const sample = await measured(server, async () => {
    const { blobBytes, count, parallel } = one
    const { seconds } = await pushBlobs({ ...to, blobBytes, count, parallel })
    return { seconds, requests: count }
  })
  await server.stop()
  await rm(server.directory, { recursive: true, force: true })
  return sample
}

function throughputOf(one: Case): (sample: Sample) => number {
  return ({ requests, seconds }) => (requests * one.blobBytes) / MiB / seconds
}

function rowOf(one: Case, name: string, rounds: Rounds<Sample>): string[] {
  const throughput = throughputOf(one)
  const cpu = ({ requests, cpuSeconds }: Sample): number =>
    cpuSeconds / ((requests * one.blobBytes) / (1024 * MiB))
  return [
    one.name,
    name,
    medianOf(rounds, name, throughput).toFixed(0),
    ratioOf(rounds, [name, 'docker-registry'], throughput).toFixed(2),
    medianOf(rounds, name, cpu).toFixed(2),
  ]
}

function aimOf(one: Case, { name }: Peer, rounds: Rounds<Sample>): Aim {
  return {
    about: `${one.name}, throughput of ${name}'s`,
    ...(name !== 'distribution 3' && { atLeast: 1 }),
    measured: ratioOf(rounds, ['trow', name], throughputOf(one)),
    unit: 'x',
  }
}
