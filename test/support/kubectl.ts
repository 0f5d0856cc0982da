// kubectl as an administrator of a test's cluster runs it.

import { globSync } from 'node:fs'
import { join } from 'node:path'
import { runTool, type ToolResult } from './helm.ts'
import type { Kubernetes } from './kubernetes.ts'
import { definitionModules, findDefinitions, getTool } from './tools.ts'

/** Files of those modules that define the objects which the chart makes. */
const definitionFiles = [
  'deploy/crds/cert-manager.io_certificates.yaml',
  'deploy/crds/cert-manager.io_issuers.yaml',
  'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml',
  'config/crd/standard/gateway.networking.k8s.io_httproutes.yaml',
]

export async function runKubectl(
  cluster: Kubernetes,
  args: readonly string[],
  input = '',
): Promise<ToolResult> {
  const environment = { KUBECONFIG: cluster.kubeconfig }
  return await runTool(getTool('kubectl'), args, { input, environment })
}

/** Tells the cluster of cert-manager's, Prometheus' and the Gateway API's objects; nobody acts on them. */
export async function addDefinitions(cluster: Kubernetes): Promise<void> {
  const files = definitionModules
    .map(findDefinitions)
    .flatMap((source) =>
      source === undefined ? [] : globSync(definitionFiles.map((file) => join(source, file))),
    )
  if (files.length !== definitionFiles.length) {
    throw new Error(
      'definitions of objects are missing; to get them: bin/node scripts/test-tools.ts',
    )
  }
  const flags = files.map((file) => `--filename=${file}`)
  const applied = await runKubectl(cluster, ['apply', '--server-side', ...flags])
  if (applied.code !== 0) throw new Error(applied.stderr)
  const waited = await runKubectl(cluster, [
    'wait',
    '--for=condition=Established',
    '--timeout=30s',
    'crd',
    '--all',
  ])
  if (waited.code !== 0) throw new Error(waited.stderr)
}
