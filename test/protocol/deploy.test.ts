// The files for running Trow without Kubernetes: systemd and Trow itself find nothing wrong with them,
// and what they name is there.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { environmentName, settings } from '../../src/config/settings.ts'
import { directoryWith } from '../support/directory-with.ts'
import { runTrow } from '../support/run-command.ts'
import { getTool, requireTool } from '../support/tools.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const variables = new Set(settings.map(environmentName))
/** Of 10; systemd calls what is up to this `OK`. */
const exposureMax = 2

interface Service {
  readonly environment: Readonly<Record<string, string>>
  readonly volumes: readonly string[]
  readonly user: string
  readonly read_only: boolean
}

describe('the systemd unit', () => {
  const file = join(root, 'deploy/systemd/trow.service')

  test('is one, and keeps Trow from what it does not need', async (t) => {
    if (requireTool(t, 'systemd-analyze') === undefined) return
    const directory = await directoryWith(t)
    const unit = join(directory, 'trow.service')
    const text = await readFile(file, 'utf8')
    // systemd looks whether the program is there.
    await writeFile(unit, text.replace('/usr/local/bin/trow', join(root, 'bin/trow')))
    const analyze = (...args: string[]) =>
      promisify(execFile)(getTool('systemd-analyze'), [...args, unit])
    const { stdout, stderr } = await analyze('verify')
    assert.equal(stdout + stderr, '')
    const threshold = `--threshold=${exposureMax * 10}`
    await analyze('security', '--offline=true', '--no-pager', threshold)
  })

  test('sets variables that there are', async () => {
    const text = await readFile(file, 'utf8')
    const names = [...text.matchAll(/^Environment=(\w+)=/gm)].map(([, name = '']) => name)
    assert.ok(names.length > 0)
    assert.deepEqual(
      names.filter((name) => !variables.has(name)),
      [],
    )
  })
})

describe('the compose file', () => {
  const directory = join(root, 'deploy/compose')

  test('sets variables that there are, and mounts files that are there', async () => {
    const { services } = parse(await readFile(join(directory, 'compose.yaml'), 'utf8')) as {
      services: { trow: Service }
    }
    const { environment, volumes, user, read_only: isReadOnly } = services.trow
    assert.deepEqual(
      Object.keys(environment).filter((name) => !variables.has(name)),
      [],
    )
    assert.deepEqual([user, isReadOnly], ['333333:333333', true])
    assert.deepEqual(volumes, ['data:/data', './trow.yaml:/etc/trow/trow.yaml:ro'])
  })

  test('comes with a configuration that is right', async () => {
    const { code, stdout, stderr } = await runTrow([
      'check',
      '--config-file',
      join(directory, 'trow.yaml'),
    ])
    assert.equal(code, 0, stderr)
    assert.equal(stderr, '')
    assert.match(stdout, /max_size/)
  })
})
