// `trow node-config` killed at each of its changes to a node's files, one after the other: what the
// runtime reads is always whole, and the next run finishes it, or takes it away without a trace.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { lstat, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installOnNode, uninstallFromNode } from '../../src/node-config/configure-node.ts'
import { formatHostsToml } from '../../src/node-config/hosts-toml.ts'
import { parseMirror } from '../../src/node-config/mirror.ts'
import { NodeRoot } from '../../src/node-config/node-root.ts'
import { allRegistries, type NodeSettings } from '../../src/node-config/runtime.ts'
import { makeRuntime } from '../../src/node-config/runtimes.ts'
import { takeSnapshot } from '../support/directory-snapshot.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { findTool, getTool } from '../support/tools.ts'

const program = fileURLToPath(new URL('../../bin/trow', import.meta.url))
/** What other programs see changes with these. */
const calls = ['link', 'rename', 'fsync', 'unlink', 'rmdir']
const hosts = '/etc/containerd/certs.d/_default/hosts.toml'
const theirs = '# Theirs.\nserver = "https://registry.example.com"\n'
const mirror = 'http://10.0.0.1:30500'
const settings: NodeSettings = {
  mirrors: [parseMirror(mirror, {})],
  registries: [allRegistries],
  isFallingBack: true,
}
const runtime = makeRuntime('containerd', {})

/** Kills it when it makes a call for the `at`th time. @returns whether it got as far as that. */
async function runKilled(
  { call, at }: { readonly call: string; readonly at: number },
  args: readonly string[],
): Promise<boolean> {
  const traced = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`]
  const killed = ['-e', `inject=${call}:signal=KILL:when=${at}`]
  // Calls are counted for each thread: these are all made by one.
  const env = { PATH: process.env['PATH'], UV_THREADPOOL_SIZE: '1' }
  const command = [...traced, ...killed, program, 'node-config', ...args]
  const child = spawn(getTool('strace'), command, { env, stdio: 'ignore' })
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  // No containerd reads this, which is worth a 3.
  assert.ok(signal === 'SIGKILL' || code === 0 || code === 3, `it ended with ${code}`)
  return signal === 'SIGKILL'
}

for (const [what, before] of [
  ['where a file was', theirs],
  ['where nothing was', undefined],
] as const) {
  for (const command of ['install', 'uninstall'] as const) {
    test(`${command} that is killed ${what} leaves nothing half done`, async (t) => {
      if (findTool('strace') === undefined) return t.skip('there is no strace here')
      await using directory = await temporaryDirectory()
      const original = join(directory.path, 'original')
      await mkdir(join(original, 'etc/containerd'), { recursive: true })
      if (before !== undefined) {
        await mkdir(join(original, dirname(hosts)), { recursive: true })
        await writeFile(join(original, hosts), before)
      }
      const clean = await takeSnapshot(original)
      const copy = async (from: string): Promise<NodeRoot> => {
        const path = join(directory.path, randomUUID())
        await promisify(execFile)('cp', ['-a', from, path])
        return new NodeRoot(path)
      }
      let kills = 0
      for (const call of calls) {
        for (let at = 1; ; at++) {
          const node = await copy(original)
          if (command === 'uninstall') await installOnNode(runtime, settings, node)
          const installed = formatHostsToml(settings, before)
          const flags = command === 'install' ? ['--mirror', mirror] : []
          const args = [command, '--root', node.directory, '--runtime', 'containerd', ...flags]
          if (!(await runKilled({ call, at }, args))) break
          kills++
          const text = await node.findText(hosts)
          assert.ok(text === before || text?.endsWith(installed), `${call} ${at}: ${text}`)
          const other = await copy(node.directory)
          await installOnNode(runtime, settings, other)
          assert.ok((await other.findText(hosts))?.endsWith(installed))
          for (const left of [node, other]) {
            await uninstallFromNode(runtime, left)
            const kept = await takeSnapshot(left.directory)
            // Only empty directories may be left, of an uninstall that was killed between two of them.
            for (const [path, status] of Object.entries(kept)) {
              if (path in clean || command === 'install')
                assert.deepEqual(status, clean[path], path)
              else assert.ok(!(await lstat(join(left.directory, path))).isFile(), path)
            }
          }
        }
      }
      assert.ok(kills > 1)
      t.diagnostic(`killed ${kills} times`)
    })
  }
}
