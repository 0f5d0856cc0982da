// Garbage collection without a pause, a grace of seconds, and real clients at work: they push, delete,
// push again what is just about to go, and pull. No request fails, and every blob is there in the end.

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import { clients } from '../support/clients.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { realImageLayout } from '../support/real-image.ts'
import { until } from '../support/until.ts'
import { isClientHere, requireClient } from './client-table.ts'
import { at, openScene, type Scene } from './scene.ts'

/** A push of a client takes a second or two from its first question to its manifest. */
const config = 'gc:\n  interval: 1s\n  grace: 6s\n'
const roundsPerClient = 5
const names = (['skopeo', 'crane', 'oras', 'regctl'] as const).filter(isClientHere)
const keptImages = Array.from({ length: 4 }, (_, seed) =>
  imageFixture({ seed, layerBytes: 20_000 }),
)

async function passesOf({ registry }: Scene): Promise<number> {
  const { body } = await registry.request('GET', '/metrics')
  return Number(/^trow_gc_passes_total (\d+)/m.exec(body.toString())?.[1] ?? 0)
}

/** The same image over and over: its blobs are needed, then nobody's, then pushed again. */
async function pushAndDelete(scene: Scene, name: (typeof names)[number]): Promise<void> {
  const layout = await realImageLayout()
  const repository = `churn/${name}`
  for (let round = 0; round < roundsPerClient; round += 1) {
    const client = await scene.client()
    const target = at(client, repository, `r${round % 2}`)
    assert.equal(await clients[name].push(layout, target), layout.digest)
    assert.equal(await clients[name].pull(target), layout.digest)
    await rm(client.directory, { recursive: true, force: true })
    await deleteImage(scene, repository, layout.digest)
  }
}

/** The index first, as it needs the others. */
async function deleteImage({ registry }: Scene, repository: string, digest: string): Promise<void> {
  const path = `/v2/${repository}/manifests`
  const index = (await registry.request('GET', `${path}/${digest}`)).json()
  const { manifests } = index as { manifests: { digest: string }[] }
  for (const each of [digest, ...manifests.map((child) => child.digest)]) {
    assert.equal((await registry.request('DELETE', `${path}/${each}`)).status, 202)
  }
}

/** Small pushes and pulls without a pause, of images that share layers over repositories. */
async function pushAndPull(
  { registry }: Scene,
  number: number,
  isOver: () => boolean,
): Promise<number> {
  let pushes = 0
  for (; !isOver(); pushes += 1) {
    const image = keptImages[(number + pushes) % keptImages.length] ?? imageFixture()
    const repository = `kept/${number}-${pushes % 3}`
    await registry.push(repository, 'v1', image)
    for (const { digest, bytes } of image.blobs) {
      const reply = await registry.request('GET', `/v2/${repository}/blobs/${digest}`)
      assert.ok(reply.status === 200 && reply.body.equals(bytes), `${reply.status} ${digest}`)
    }
    const path = `/v2/${repository}/manifests/${image.root.digest}`
    if (pushes % 2 === 0) assert.equal((await registry.request('DELETE', path)).status, 202)
  }
  return pushes
}

test('clients push, delete and pull while the collector runs again and again', async (t) => {
  for (const name of ['skopeo', 'crane'] as const) if (!requireClient(t, name)) return
  await using scene = await openScene({ config })
  const { registry } = scene
  let isOver = false
  const steady = [1, 2].map((number) => pushAndPull(scene, number, () => isOver))
  try {
    await Promise.all(names.map((name) => pushAndDelete(scene, name)))
    await until('it collected several times', async () => (await passesOf(scene)) >= 5)
  } finally {
    isOver = true
  }
  const pushes = await Promise.all(steady)
  assert.deepEqual(
    registry.logs().filter(({ level }) => level === 'error' || level === 'warn'),
    [],
  )
  const failed = registry.logs().filter(({ status }) => Number(status) >= 500)
  assert.deepEqual(failed, [])
  // What was deleted has gone in the end: the churned image is the largest by far.
  await until('the space is freed', async () => {
    const { body } = await registry.request('GET', '/metrics')
    return Number(/^trow_gc_removed_bytes_total (\d+)/m.exec(body.toString())?.[1] ?? 0) > 1_000_000
  })
  t.diagnostic(`${pushes.join(' + ')} small pushes, ${await passesOf(scene)} passes`)
})
