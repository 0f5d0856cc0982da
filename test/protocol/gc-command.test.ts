/**
 * `trow gc` and `POST /api/gc`, as an operator and a program see them: who may, what it says, with a
 * registry that runs and with a data directory.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { assertError, makeBlob } from '../support/push-steps.ts'
import { runTrow } from '../support/run-command.ts'
import { startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const program = fileURLToPath(new URL('../../bin/trow', import.meta.url))
const config = 'gc:\n  enabled: false\n  grace: 1s\n'

function linesOf(text: string): Record<string, object>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, object>)
}

describe('POST /api/gc', () => {
  test('answers a document in a line for each event, the report last', async () => {
    await using registry = await startRegistry({ config })
    const blob = makeBlob('gone')
    await registry.pushBlob('a', blob)
    await registry.request('DELETE', `/v2/a/blobs/${blob.digest}`)
    const dry = await registry.request('POST', '/api/gc?dry-run=true')
    assert.equal(dry.status, 200)
    assert.equal(dry.header('content-type'), 'application/x-ndjson')
    const bytes = blob.bytes.length
    const [first, ...rest] = linesOf(dry.body.toString())
    assert.deepEqual(first, { operation: 'gc' })
    const report = {
      dryRun: true,
      uploads: 0,
      tags: 0,
      manifests: 0,
      unneeded: 0,
      waiting: 0,
      blobs: 1,
      bytes,
    }
    assert.deepEqual(rest.at(-1), { report })
    const wet = await registry.request('POST', '/api/gc')
    assert.deepEqual(linesOf(wet.body.toString()).at(-1), { report: { ...report, dryRun: false } })
    const again = await registry.request('POST', '/api/gc')
    assert.deepEqual(linesOf(again.body.toString()).at(-1), {
      report: { ...report, dryRun: false, blobs: 0, bytes: 0 },
    })
  })

  test('refuses what it does not understand', async () => {
    await using registry = await startRegistry({ config })
    assertError(await registry.request('POST', '/api/gc?dry-run=no'), 400, 'UNSUPPORTED')
    assertError(await registry.request('GET', '/api/gc'), 405, 'UNSUPPORTED')
  })

  test('is for those who may delete everything', async () => {
    const user = { name: 'ann', password: 'secret' }
    await using registry = await startRegistry({ config, user, anonymousPull: true })
    const anonymous = await registry.request('POST', '/api/gc', { anonymous: true })
    assertError(anonymous, 401, 'UNAUTHORIZED')
    assert.match(anonymous.header('www-authenticate'), /scope="registry:admin:\*"/)
    assert.equal((await registry.request('POST', '/api/gc')).status, 200)
    const tokenFor = async (scope: string): Promise<string> => {
      const path = `/token?service=trow&scope=${encodeURIComponent(scope)}`
      const { token } = (await registry.request('GET', path)).json() as { token: string }
      return `Bearer ${token}`
    }
    for (const [scope, status] of [
      ['registry:admin:*', 200],
      ['registry:catalog:*', 401],
      ['repository:a:delete', 401],
    ] as const) {
      const headers = { authorization: await tokenFor(scope) }
      const reply = await registry.request('POST', '/api/gc', { headers, anonymous: true })
      assert.equal(reply.status, status, scope)
    }
  })
})

describe('trow gc', () => {
  test('asks a running Trow, with a login', async () => {
    const user = { name: 'ann', password: 'secret' }
    await using registry = await startRegistry({ config, user })
    const blob = makeBlob('gone', 2_000_000)
    await registry.pushBlob('a', blob)
    await registry.request('DELETE', `/v2/a/blobs/${blob.digest}`)
    const refused = await runTrow(['gc', registry.url])
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /^trow: .*401.*; log in with -u USER -p PASSWORD\n$/)
    const login = ['-u', 'ann', '-p', 'secret']
    const dry = await runTrow(['gc', registry.url, ...login, '--dry-run'])
    assert.equal(dry.stdout, '1 blob that no repository has would be removed: 2 MB\n')
    const json = await runTrow(['gc', registry.url, ...login, '--json'])
    const report = {
      dryRun: false,
      uploads: 0,
      tags: 0,
      manifests: 0,
      unneeded: 0,
      waiting: 0,
      blobs: 1,
      bytes: 2_000_000,
    }
    assert.deepEqual(linesOf(json.stdout), [{ report }])
  })

  test('works on the data directory of one that does not run, and only of one', async () => {
    await using registry = await startRegistry({ config })
    const blob = makeBlob('gone')
    await registry.pushBlob('a', blob)
    await registry.request('DELETE', `/v2/a/blobs/${blob.digest}`)
    const args = ['gc', '--data-dir', registry.dataDirectory, '-c', registry.configFile]
    const busy = await runTrow(args)
    assert.equal(busy.code, 1)
    assert.match(busy.stderr, /^trow: data directory \S+ is in use by process \d+/)
    await registry.stop()
    const { code, stdout, stderr } = await runTrow(args)
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, /^1 blob that no repository has removed: /)
    const missing = await runTrow(['gc', '--data-dir', `${registry.dataDirectory}/nothing`])
    assert.equal(missing.code, 1)
    assert.match(missing.stderr, /is no data directory of Trow/)
    await registry.start()
  })

  test('says what is still there only because it was pushed not long ago', async () => {
    await using registry = await startRegistry()
    await registry.pushBlob('a', makeBlob('waits'))
    const { code, stdout } = await runTrow(['gc', '--dry-run', registry.url])
    assert.equal(code, 0)
    assert.match(
      stdout,
      /^1 blob that no manifest needs kept for now: pushed or asked for within gc\.grace\n0 blobs /,
    )
  })

  test('says of a directory that it may not look into not that it is none of Trow', async () => {
    await using directory = await temporaryDirectory()
    await chmod(directory.path, 0)
    // What root may do whatever the mode says is taken away from it.
    const wrapper = process.geteuid?.() === 0 ? ['setpriv', '--bounding-set=-all'] : []
    const [command, ...args] = [...wrapper, program, 'gc', '--data-dir', directory.path]
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
    await chmod(directory.path, 0o700)
    assert.equal(status, 1)
    assert.match(stderr, /^trow: data directory \S+ cannot be read: .*; run this as the user that/)
  })

  test('says that a registry is no Trow, and that a command line makes no sense', async () => {
    const both = await runTrow(['gc', 'localhost:1', '--data-dir', 'x'])
    assert.deepEqual(
      [both.code, both.stderr],
      [2, 'trow: name a registry or --data-dir, not both\n'],
    )
    assert.equal((await runTrow(['gc', '-c', 'x.yaml'])).code, 2)
  })
})
