import assert from 'node:assert/strict'
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Config } from '../../../src/config/config.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { ConfigWatcher } from '../../../src/config/watch.ts'
import { directoryWith } from '../../support/directory-with.ts'
import { certificate, privateKey } from './tls-pair.ts'

interface Line {
  readonly level: string
  readonly message: string
  readonly fields: object
}

/** A change counts once it looks the same at two polls. */
async function settle(watcher: ConfigWatcher): Promise<void> {
  await watcher.poll()
  await watcher.poll()
}

/** A watcher over `trow.yaml` in a directory of its own; the test polls, no timer runs. */
async function watching(t: TestContext, files: Record<string, string>) {
  const directory = await directoryWith(t, files)
  const file = join(directory, 'trow.yaml')
  const load = () => loadConfig({ flags: new Map([['--config-file', [file]]]), environment: {} })
  const lines: Line[] = []
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, fields })
  const log = { info: at('info'), warn: at('warn'), error: at('error') }
  const applied: Config[] = []
  const watcher = new ConfigWatcher({ initial: await load(), load, log })
  watcher.start((config) => void applied.push(config))
  t.after(() => watcher[Symbol.dispose]())
  return { directory, file, watcher, lines, applied }
}

test('nothing is loaded while no file changes', async (t) => {
  const { watcher, lines, applied } = await watching(t, { 'trow.yaml': 'cors: []' })
  await settle(watcher)
  assert.deepEqual([lines, applied], [[], []])
})

test('a changed file is loaded, once', async (t) => {
  const { file, watcher, applied } = await watching(t, { 'trow.yaml': 'log_level: info' })
  await writeFile(file, 'log_level: debug')
  await settle(watcher)
  await settle(watcher)
  assert.deepEqual(
    applied.map((config) => config.logLevel),
    ['debug'],
  )
  assert.equal(watcher.current.logLevel, 'debug')
  assert.equal(watcher.lastReload.ok, true)
})

test('a file that is still being written is not loaded', async (t) => {
  const { file, watcher, applied } = await watching(t, {
    'trow.yaml': 'auth: {user: a, password: b}',
  })
  await writeFile(file, '')
  await watcher.poll()
  await writeFile(file, 'auth: {user: ann, password: b}')
  await watcher.poll()
  assert.equal(applied.length, 0)
  await watcher.poll()
  assert.equal(watcher.current.auth.user?.name, 'ann')
  assert.equal(applied.length, 1)
})

test('a broken file keeps the old configuration, is reported once, and is noticed when mended', async (t) => {
  const { file, watcher, lines, applied } = await watching(t, { 'trow.yaml': 'log_level: info' })
  await writeFile(file, 'log_levl: debug\nbind: 5')
  await settle(watcher)
  await settle(watcher)
  assert.equal(applied.length, 0)
  assert.equal(watcher.current.logLevel, 'info')
  assert.equal(watcher.lastReload.ok, false)
  assert.equal(lines.length, 1)
  assert.match(lines[0]?.message ?? '', /the previous one stays in force/)
  assert.match(JSON.stringify(lines[0]?.fields), /:1:1: log_levl: .*:2:1: bind: /)
  await writeFile(file, 'log_level: warn')
  await settle(watcher)
  assert.equal(watcher.current.logLevel, 'warn')
  assert.equal(watcher.lastReload.ok, true)
})

test('a file that is named but missing is noticed when it comes', async (t) => {
  const { directory, file, watcher } = await watching(t, { 'trow.yaml': '' })
  const password = join(directory, 'password')
  await writeFile(file, `auth: {user: ann, password_file: ${password}}`)
  await settle(watcher)
  assert.deepEqual(watcher.current.auth, { anonymousPull: false })
  await writeFile(password, 'x\n')
  await settle(watcher)
  assert.equal(watcher.current.auth.user?.password.reveal(), 'x')
})

test('a rotated certificate is loaded, half a rotation is not', async (t) => {
  const { directory, file, watcher } = await watching(t, {
    'trow.yaml': '',
    crt: certificate,
    key: privateKey,
  })
  const crt = join(directory, 'crt')
  await writeFile(file, `tls: {cert: ${crt}, key: ${join(directory, 'key')}}`)
  const again = new ConfigWatcher({
    initial: await loadConfig({ flags: new Map([['--config-file', [file]]]), environment: {} }),
    load: () => loadConfig({ flags: new Map([['--config-file', [file]]]), environment: {} }),
    log: { info() {}, warn() {}, error() {} },
  })
  await writeFile(crt, 'half written')
  await settle(again)
  assert.equal(again.lastReload.ok, false)
  assert.equal(again.current.tls?.cert, certificate)
  await writeFile(crt, `${certificate}\n`)
  await settle(again)
  assert.equal(again.current.tls?.cert, `${certificate}\n`)
  assert.equal(watcher.current.tls, undefined)
})

test('a swap of the link above the file, as Kubernetes does it, is noticed', async (t) => {
  const directory = await directoryWith(t, { 'one/trow.yaml': 'cors: []' })
  await mkdir(join(directory, 'two'))
  await writeFile(join(directory, 'two/trow.yaml'), 'cors: "*"')
  await symlink('one', join(directory, '..data'))
  await symlink('..data/trow.yaml', join(directory, 'trow.yaml'))
  const flags = new Map([['--config-file', [join(directory, 'trow.yaml')]]])
  const load = () => loadConfig({ flags, environment: {} })
  const log = { info() {}, warn() {}, error() {} }
  const watcher = new ConfigWatcher({ initial: await load(), load, log })
  await symlink('two', join(directory, '..new'))
  await rename(join(directory, '..new'), join(directory, '..data'))
  await settle(watcher)
  assert.deepEqual(watcher.current.cors, ['*'])
})

test('what needs a restart is named and left as it was, the rest is applied', async (t) => {
  const { file, watcher, lines, applied } = await watching(t, { 'trow.yaml': 'bind: 1.1.1.1' })
  await writeFile(file, 'bind: 2.2.2.2\ndata_dir: /other\nlog_format: json\ncors: "*"')
  await settle(watcher)
  assert.equal(applied[0]?.bind.host, '1.1.1.1')
  assert.equal(applied[0]?.dataDir, './data')
  assert.deepEqual(applied[0]?.cors, ['*'])
  const warning = lines.find(({ level }) => level === 'warn')
  assert.match(warning?.message ?? '', /bind, data_dir, log_format needs a restart/)
})

test('a reload on request happens without a change', async (t) => {
  const { watcher, applied } = await watching(t, { 'trow.yaml': 'cors: []' })
  await watcher.reload('SIGHUP')
  assert.equal(applied.length, 1)
})

test('a configuration that cannot be applied counts as not reloaded', async (t) => {
  const { file, watcher, lines } = await watching(t, { 'trow.yaml': 'cors: []' })
  watcher.start(() => {
    throw new Error('no')
  })
  await writeFile(file, 'cors: "*"')
  await settle(watcher)
  assert.equal(watcher.lastReload.ok, false)
  assert.deepEqual(watcher.current.cors, [])
  assert.equal(lines.at(-1)?.level, 'error')
})

test('a file that disappears keeps the old configuration', async (t) => {
  const { file, watcher } = await watching(t, { 'trow.yaml': 'cors: "*"' })
  await rm(file)
  await settle(watcher)
  assert.equal(watcher.lastReload.ok, false)
  assert.deepEqual(watcher.current.cors, ['*'])
})

test('a login in a docker config is read again when it changes', async (t) => {
  const content = (pair: string) =>
    JSON.stringify({ auths: { 'ghcr.io': { auth: Buffer.from(pair).toString('base64') } } })
  const { directory, file, watcher } = await watching(t, {
    'trow.yaml': '',
    'config.json': content('ann:one'),
  })
  const name = join(directory, 'config.json')
  const entry = `{host: ghcr.io, docker_config_file: ${name}}`
  await writeFile(file, `registry_proxies: {registries: [${entry}]}`)
  await settle(watcher)
  const login = () => watcher.current.registryProxies.registries[0]?.user
  assert.equal(login()?.password.reveal(), 'one')
  await writeFile(name, content('bob:second'))
  await settle(watcher)
  assert.equal(`${login()?.name}:${login()?.password.reveal()}`, 'bob:second')
  await writeFile(name, '{}')
  await settle(watcher)
  assert.equal(watcher.lastReload.ok, false)
  assert.equal(login()?.name, 'bob')
})
