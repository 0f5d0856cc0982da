/**
 * `npm run chart`: brings up to date what is generated of the chart: the definitions in its
 * `values.schema.json`, and the plain manifests in `deploy/`, for which Helm 4 is needed. Tests hold both.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { findTool, installHint } from '../test/support/tools.ts'
import { configDefinitions } from './release/chart-schema.ts'
import { formatPlainManifests, plainManifests } from './release/plain-manifests.ts'

const root = resolve(import.meta.dirname, '..')
const chart = resolve(root, 'charts/trow')

const path = resolve(chart, 'values.schema.json')
const schema = JSON.parse(await readFile(path, 'utf8')) as { definitions: Record<string, unknown> }
Object.assign(schema.definitions, configDefinitions())
await writeFile(path, `${JSON.stringify(schema, null, 2)}\n`)

const helm = findTool('helm-4')
if (helm === undefined) {
  console.error(`deploy/ is left as it is: helm-4 not found; to get it: ${installHint('helm-4')}`)
  process.exit()
}
const args = ['template', 'trow', chart, '--namespace=trow', '--kube-version=v1.36.3', '-f', '-']
const rendered = plainManifests.map(({ values }) =>
  execFileSync(helm, args, { encoding: 'utf8', input: JSON.stringify(values) }),
)
await mkdir(resolve(root, 'deploy'), { recursive: true })
for (const [file, text] of formatPlainManifests(rendered)) {
  await writeFile(resolve(root, 'deploy', file), text)
}
