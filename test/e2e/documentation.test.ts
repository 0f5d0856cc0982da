// The documentation's commands do what it says: every block that is marked `<!-- run: registry -->` runs in a shell
// with the real clients, page by page in order, against a registry that has other registries behind it.

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startContainerd } from '../support/containerd.ts'
import {
  openShell,
  ownImages,
  pushAll,
  type Shell,
  startOtherRegistries,
  startOwnRegistry,
  toolsOf,
} from '../support/documentation-shell.ts'
import { type Block, listBlocks, readPages } from '../support/documentation.ts'
import { imageFixture } from '../support/image-fixture.ts'
import { OldTrow } from '../support/old-trow.ts'
import type { Registry } from '../support/start-registry.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../support/temporary-directory.ts'
import { requireTool } from '../support/tools.ts'
import { startUpstream } from '../support/upstream-registry.ts'

const isRun = ({ language, comment }: Block): boolean =>
  language === 'sh' && /^run: (?:registry|stopped)$/.test(comment ?? '')

/** What the reader has made before, by what is done with it. */
const preparations: readonly (readonly [string, string])[] = [
  ['docker tag my-app', 'docker pull alpine && docker tag alpine my-app'],
  ['trow restore trow.tar', 'trow backup --data-dir /data - > trow.tar'],
  [
    'trow import ./layout',
    `skopeo copy docker://docker.io/library/alpine oci:layout:registry.example.com/team/app:1.0
    skopeo copy oci:layout oci-archive:image.tar:registry.example.com/team/app:1.0
    gzip --keep image.tar`,
  ],
  ['trow export', 'rm -r layout'],
  ['crictl pull', 'trow node-config install --mirror http://trow.example.com:8000'],
  [
    'trow import /var/lib/zot',
    `mkdir --parents var/lib/zot/team
    skopeo copy docker://docker.io/library/alpine oci:var/lib/zot/team/app:1.0`,
  ],
]

/** What other programs have left where the page says. */
const leftBehind: Readonly<Record<string, (directory: string, shell: Shell) => Promise<void>>> = {
  '/var/lib/trow-new': async (directory) => {
    using old = await OldTrow.make(join(directory, 'var/lib/trow'), '0.10')
    await old.addImage('team/app', imageFixture(), 'v1')
  },
  '/var/lib/registry': async (directory, shell) => {
    const storage = join(directory, 'var/lib/registry')
    await mkdir(storage, { recursive: true })
    await using distribution = await startUpstream({ directory, storage })
    const target = `docker://${distribution.host}/team/app:1.0`
    const flags = '--quiet --dest-tls-verify=false'
    await shell.run(`skopeo copy ${flags} docker://docker.io/library/alpine ${target}`)
  },
}

describe('the commands of the documentation', () => {
  let upstream: Registry
  before(async () => {
    upstream = await startOtherRegistries()
  })
  after(() => upstream?.[Symbol.asyncDispose]())

  for (const page of readPages()) {
    const blocks = listBlocks(page)
    const marked = blocks.filter(isRun)
    if (marked.length === 0) continue
    describe(page.path, () => {
      let registry: Registry
      let directory: TemporaryDirectory
      let shell: Shell
      before(async () => {
        directory = await temporaryDirectory()
        registry = await startOwnRegistry(upstream)
        shell = await openShell({ directory: directory.path, registry, upstream, page: blocks })
      })
      after(async () => {
        await registry?.[Symbol.asyncDispose]()
        await directory?.[Symbol.asyncDispose]()
      })
      for (const { text, comment } of marked) {
        test(text.split('\n', 1)[0] ?? '', async (t) => {
          for (const tool of toolsOf(text)) if (requireTool(t, tool) === undefined) return
          await pushAll(registry, ownImages)
          for (const [sign, script] of preparations) {
            if (text.includes(sign)) await shell.run(script)
          }
          for (const [path, make] of Object.entries(leftBehind)) {
            if (text.includes(path)) await make(directory.path, shell)
          }
          const needsContainerd = /^crictl /m.test(text)
          if (needsContainerd && process.getuid?.() !== 0) return t.skip('containerd needs root')
          if (needsContainerd && requireTool(t, 'containerd') === undefined) return
          await using _containerd = needsContainerd
            ? await startContainerd(directory.path, {
                cri: { hosts: join(directory.path, 'node/etc/containerd/certs.d') },
              })
            : undefined
          const isStopped = comment === 'run: stopped'
          const { host } = registry
          if (isStopped) await registry.stop()
          await assert.doesNotReject(shell.run(text))
          if (isStopped) await registry.restart({ flags: ['--bind', host] })
        })
      }
    })
  }
})
