// What a scrub finds wrong with the database itself, while Trow runs.

import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { imageFixture } from '../support/image-fixture.ts'
import { runTrow } from '../support/run-command.ts'
import { startRegistry } from '../support/start-registry.ts'

const image = imageFixture({ seed: 9, layers: 3 })
const [layer] = image.blobs
assert.ok(layer)

test('damage of the database of a running Trow is told, logged and counted, and nothing is removed by it', async () => {
  await using registry = await startRegistry()
  await registry.push('app', 'v1', image)
  const path = join(registry.dataDirectory, 'metadata.db')
  const database = new DatabaseSync(path)
  database.exec('pragma wal_checkpoint(truncate)')
  // An index that nothing here is served by.
  const index = database
    .prepare(`select rootpage from sqlite_schema where name = 'manifests_by_subject'`)
    .get()
  database.close()
  const sound = await readFile(path)
  const at = (Number(index?.['rootpage']) - 1) * 4096
  await writeFile(path, Buffer.from(sound).fill(0xff, at, at + 4096))
  const { code, stdout } = await runTrow(['scrub', registry.url, '--repair', '--format', 'json'])
  assert.equal(code, 1)
  assert.match(stdout, /"problem":"database".* is damaged: .*trow scrub --repair --data-dir /)
  assert.match(stdout, /"problems":\{"database":1,.*"unrepaired":1/)
  await registry.logged(({ msg }) => /^found by a scrub: the metadata database .* is da/.test(msg))
  const metrics = async () => (await registry.request('GET', '/metrics')).body.toString()
  assert.match(await metrics(), /trow_database_damaged 1/)
  const collected = await runTrow(['gc', registry.url])
  assert.equal(collected.code, 1)
  assert.match(collected.stderr, /nothing is collected: the metadata database .* is damaged/)
  // What it can still answer it goes on answering.
  assert.equal((await registry.request('GET', '/readiness')).status, 200)
  assert.equal((await registry.request('GET', '/v2/app/manifests/v1')).status, 200)
  await writeFile(path, sound)
  assert.equal((await runTrow(['scrub', registry.url])).code, 0)
  assert.match(await metrics(), /trow_database_damaged 0/)
  assert.equal((await runTrow(['gc', registry.url])).code, 0)
})

test('content that the database has another size of is right all the same, and the size is mended', async () => {
  await using registry = await startRegistry()
  await registry.push('app', 'v1', image)
  await registry.stop()
  const database = new DatabaseSync(join(registry.dataDirectory, 'metadata.db'))
  database.prepare('update blobs set size = size + 1 where digest = ?').run(layer.digest)
  database.close()
  await registry.restart()
  assert.equal((await registry.request('GET', `/v2/app/blobs/${layer.digest}`)).status, 404)
  const mended = await runTrow(['scrub', registry.url, '--repair'])
  assert.equal(mended.code, 0, mended.stderr)
  assert.match(mended.stdout, /references: .* the database has the size \d+ of what has \d+ bytes/)
  assert.equal((await registry.request('GET', `/v2/app/blobs/${layer.digest}`)).status, 200)
  assert.deepEqual(await readdir(join(registry.dataDirectory, 'quarantine')), [])
})
