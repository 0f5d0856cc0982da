// Helm as a client: charts are kept in Trow like images, over HTTPS and with a login. What is pushed and
// pulled is Trow's own chart, which is then rendered from the registry.

import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import manifest from '../../package.json' with { type: 'json' }
import { issueCertificate } from '../support/certificate.ts'
import { chartDirectory, helms, runHelm } from '../support/helm.ts'
import { startRegistry } from '../support/start-registry.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { requireTool } from '../support/tools.ts'

const login = { name: 'ann', password: 'secret' }

for (const helm of helms) {
  describe(helm, () => {
    test('pushes a chart, pulls it back as it was, and installs from there', async (t) => {
      if (requireTool(t, helm) === undefined) return
      await using directory = await temporaryDirectory()
      const tls = issueCertificate(['localhost', '127.0.0.1'])
      await using registry = await startRegistry({ user: login, tls })
      const ca = join(directory.path, 'ca.crt')
      await writeFile(ca, tls.ca)
      const environment = { HOME: directory.path }
      const run = async (...args: string[]) => {
        const { code, stdout, stderr } = await runHelm(helm, args, { environment })
        assert.equal(code, 0, stderr)
        return stdout
      }
      const { host } = new URL(registry.url)
      const trust = `--ca-file=${ca}`

      await run('package', chartDirectory, `--destination=${directory.path}`)
      const archive = join(directory.path, `trow-${manifest.version}.tgz`)
      const refused = await runHelm(helm, ['push', archive, `oci://${host}/charts`, trust], {
        environment,
      })
      assert.notEqual(refused.code, 0, 'without a login')

      const credentials = [`--username=${login.name}`, `--password=${login.password}`]
      await run('registry', 'login', host, ...credentials, trust)
      await run('push', archive, `oci://${host}/charts`, trust)
      const pulled = join(directory.path, 'pulled')
      await mkdir(pulled)
      await run('pull', `oci://${host}/charts/trow`, `--destination=${pulled}`, trust)
      assert.deepEqual(
        await readFile(join(pulled, `trow-${manifest.version}.tgz`)),
        await readFile(archive),
      )
      const from = [`oci://${host}/charts/trow`, '--kube-version=1.36.3', trust]
      const rendered = await run('template', 'trow', ...from)
      assert.match(rendered, /kind: StatefulSet/)
    })
  })
}
