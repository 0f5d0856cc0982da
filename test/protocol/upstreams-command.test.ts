/**
 * `trow upstreams` with a real Trow in front of scripted upstreams: the table that an operator sees
 * when one of them is well, fails, limits its users or is not to be asked.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatBytes } from '../../src/cli/format.ts'
import { limits } from '../../src/config/limits.ts'
import { cutting, rateLimiting, withHeaders } from '../support/fake-upstream-behaviours.ts'
import { FakeUpstream } from '../support/fake-upstream.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { type Scene, startScene } from '../support/pull-through.ts'
import { runTrow } from '../support/run-command.ts'
import { startRegistry } from '../support/start-registry.ts'
import { until } from '../support/until.ts'

const image = imageFixture()

async function startWithImage(options: Parameters<typeof startScene>[0] = {}): Promise<Scene> {
  const scene = await startScene(options)
  scene.upstream.content.addImage('app', image, 'v1')
  return scene
}

/** The cells of each row, and what is written below the table. */
async function show({ registry }: Scene): Promise<{ rows: string[][]; below: string }> {
  const { code, stdout, stderr } = await runTrow(['upstreams', registry.url])
  assert.deepEqual([code, stderr], [0, ''])
  const [table = '', below = ''] = stdout.split('\n\n')
  const rows = table.trimEnd().split('\n')
  return { rows: rows.map((row) => row.trimEnd().split(/ {2,}/)), below }
}

describe('trow upstreams', () => {
  test('shows what is cached and saved, when an upstream was asked, and what it has left', async () => {
    await using scene = await startWithImage()
    const told = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '37;w=21600' }
    scene.upstream.use(withHeaders(told))
    const { digest = '', bytes = Buffer.of() } = image.blobs.at(-1) ?? {}
    await scene.manifest('v1')
    await scene.blob(digest)
    await scene.kept(digest)
    await scene.blob(digest)
    await until('the bytes are counted', async () => {
      const { body } = await scene.registry.request('GET', '/api/upstreams')
      return body.includes(`"savedBytes":${bytes.length}`)
    })
    const { rows, below } = await show(scene)
    assert.deepEqual(rows[0], [
      'UPSTREAM',
      'LAST CHECK',
      'STATE',
      'RATE LEFT',
      'HITS',
      'MISSES',
      'STALE',
      'FAILED',
      'SAVED',
    ])
    const [host, check, ...cells] = rows[1] ?? []
    assert.equal(host, scene.host)
    assert.match(check ?? '', /^\d+ s ago$/)
    assert.deepEqual(cells, [
      'ok',
      '37 of 100 / 6 h',
      '1',
      '2',
      '0',
      '0',
      formatBytes(bytes.length),
    ])
    assert.equal(below, '')
  })

  test('shows one that fails, why, and when it is tried again', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    scene.upstream.use(cutting())
    for (let i = 0; i < limits.upstreamBreakerFailuresMax; i++) await scene.manifest('v1')
    const { rows, below } = await show(scene)
    const [, , state, ...cells] = rows[1] ?? []
    assert.match(state ?? '', /^failing, (?:retried in \d+ s|tried again at the next pull)$/)
    const stale = String(limits.upstreamBreakerFailuresMax)
    assert.deepEqual(cells.slice(1, 5), ['0', '1', stale, '0'])
    const line = `${scene.host}, \\d+ s ago: the connection to ${scene.host} failed`
    assert.match(below, new RegExp(`^LAST FAILURES\n${line}.*\n$`))
  })

  test('shows one that limits its users, and until when', async () => {
    await using scene = await startWithImage()
    scene.upstream.use(rateLimiting('1800'))
    assert.equal((await scene.manifest('v1')).status, 429)
    const { rows, below } = await show(scene)
    const until = new Date(Date.now() + 1_800_000)
    const around = [-60_000, 0].map((offset) => {
      const time = new Date(until.getTime() + offset)
      return `${String(time.getHours()).padStart(2, '0')}:${String(time.getMinutes()).padStart(2, '0')}`
    })
    assert.ok(around.map((time) => `rate-limited until ${time}`).includes(rows[1]?.[2] ?? ''))
    assert.match(below, /429 Too Many Requests/)
  })

  test('shows those that were not asked, and those that stand in for one', async () => {
    await using mirror = await FakeUpstream.start()
    mirror.content.addImage('app', image, 'v1')
    await using scene = await startScene({
      entries: [
        { host: mirror.host },
        { host: 'a.example', endpoints: [mirror.host, 'b.example'] },
        { host: 'c.example', path_prefix: 'team' },
      ],
    })
    const path = '/v2/f/a.example/app/manifests/v1'
    assert.equal((await scene.registry.request('GET', path)).status, 200)
    const { rows } = await show(scene)
    const nothing = ['0', '0', '0', '0', '0 B']
    const [, , , standIn] = rows
    assert.deepEqual(rows.slice(1), [
      [mirror.host, '-', 'not asked yet', '-', ...nothing],
      ['a.example', '0', '1', '0', '0', '0 B'],
      ['', mirror.host, standIn?.[2], 'ok', '-'],
      ['', 'b.example', '-', 'not asked yet', '-'],
      ['c.example', ...nothing],
      ['', 'c.example/team', '-', 'not asked yet', '-'],
    ])
  })

  test('shows that Trow is offline', async () => {
    await using scene = await startWithImage({ settings: { offline: true } })
    assert.equal((await scene.manifest('v1')).status, 404)
    const { rows } = await show(scene)
    assert.deepEqual(rows[1], [scene.host, '-', 'offline', '-', '0', '0', '0', '1', '0 B'])
  })

  test('prints with --format json what the API answers', async () => {
    await using scene = await startWithImage()
    await scene.manifest('v1')
    const { time: _time, ...expected } = (
      await scene.registry.request('GET', '/api/upstreams')
    ).json() as { time: string }
    for (const flag of [['--format', 'json'], ['--json']]) {
      const { stdout } = await runTrow(['upstreams', scene.registry.host, ...flag])
      const { time, ...document } = JSON.parse(stdout) as { time: string }
      assert.ok(!Number.isNaN(Date.parse(time)))
      assert.deepEqual(document, expected)
    }
  })
})

describe('trow upstreams says in one line', () => {
  test('that there are none', async () => {
    await using registry = await startRegistry()
    const { code, stdout, stderr } = await runTrow(['upstreams', registry.url])
    assert.deepEqual([code, stdout], [0, ''])
    assert.match(
      stderr,
      /^\S+ has asked no other registry yet, and names none in its configuration\n$/,
    )
  })

  test('that a registry is no Trow', async () => {
    await using upstream = await FakeUpstream.start()
    for (const answer of ['nothing', '{}', '<html>']) {
      if (answer !== 'nothing') {
        upstream.use(() => ({ status: 200, headers: {}, body: Buffer.from(answer) }))
      }
      const { code, stdout, stderr } = await runTrow(['upstreams', upstream.host])
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(
        stderr,
        /^trow: \S+ is no Trow, or one older than 0\.11: it has no \/api\/upstreams\n$/,
      )
    }
  })

  test('that it wants a login, and takes one', async () => {
    await using registry = await startRegistry({ user: { name: 'ann', password: 'secret' } })
    const args = ['upstreams', registry.url]
    const refused = await runTrow(args)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /^trow: .*401.*; log in with -u USER -p PASSWORD\n$/)
    assert.equal((await runTrow([...args, '-u', 'ann', '-p', 'secret'])).code, 0)
  })
})
