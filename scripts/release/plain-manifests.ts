/**
 * The chart as files for `kubectl apply -f`: the registry, and beside it what the webhook and the nodes
 * need. What only Helm has a use for is left out, and configuration can be read and edited.
 */
import { Document, isMap, parseAllDocuments } from 'yaml'

export interface PlainManifest {
  /** Below `deploy/`. */
  readonly file: string
  readonly values: object
  /** What its first lines tell. */
  readonly about: readonly string[]
}

const nodes = { namespace: 'trow-nodes' }

/** The first one is complete; of the others only that which it does not have. */
export const plainManifests: readonly [PlainManifest, ...PlainManifest[]] = [
  {
    file: 'trow.yaml',
    values: { nodeConfiguration: nodes },
    about: ['The registry, with a volume of 20 GiB: kubectl apply -f trow.yaml'],
  },
  {
    file: 'webhook.yaml',
    values: {
      trow: { validationWebhook: { enabled: true, config: { default: 'Deny', mode: 'audit' } } },
      nodeConfiguration: nodes,
    },
    about: [
      'The policy for images, after trow.yaml: kubectl apply -f webhook.yaml',
      'It refuses nothing as it is: see "mode: audit" in trow-webhook-config, and docs/admission.md.',
    ],
  },
  {
    file: 'nodes.yaml',
    values: { nodeConfiguration: { ...nodes, enabled: true } },
    about: [
      'Nodes with containerd pull through Trow, after trow.yaml: kubectl apply -f nodes.yaml',
      'It opens port 30500 of every node. kubectl delete -f nodes.yaml leaves nodes as they were.',
    ],
  },
]

/** Of what the namespaces allow; files of nodes belong to root. */
const namespaces = { trow: 'restricted', 'trow-nodes': 'privileged' } as const

/** @param rendered what `helm template` made of each one's values, in their order. */
export function formatPlainManifests(rendered: readonly string[]): Map<string, string> {
  const files = new Map<string, string>()
  const known = new Set<string>()
  for (const [index, { file, about }] of plainManifests.entries()) {
    const objects = parseAllDocuments(rendered[index] ?? '').flatMap((document) =>
      document instanceof Document && isMap(document.contents) ? [formatObject(document)] : [],
    )
    const used = Object.keys(namespaces).filter((name) =>
      objects.some((text) => text.includes(`\n  namespace: ${name}\n`)),
    )
    const parts = [...used.map(formatNamespace), ...objects].filter((text) => !known.has(text))
    for (const text of parts) known.add(text)
    const lines = [...about, 'Made from charts/trow by `npm run chart`.']
    files.set(file, [lines.map((line) => `# ${line}\n`).join(''), ...parts].join('---\n'))
  }
  return files
}

function formatNamespace(name: string): string {
  return [
    'apiVersion: v1',
    'kind: Namespace',
    'metadata:',
    `  name: ${name}`,
    '  labels:',
    `    pod-security.kubernetes.io/enforce: ${namespaces[name as keyof typeof namespaces]}`,
    '',
  ].join('\n')
}

function formatObject(document: Document): string {
  document.commentBefore = null
  if (isMap(document.contents)) delete document.contents.commentBefore
  for (const label of ['helm.sh/chart', 'app.kubernetes.io/managed-by']) {
    document.deleteIn(['metadata', 'labels', label])
  }
  const config: unknown = document.getIn(['data', 'config.yaml'])
  if (typeof config === 'string') {
    document.delete('data')
    const text = Buffer.from(config, 'base64').toString()
    document.set('stringData', { 'config.yaml': `${text}\n` })
  }
  return document.toString({ lineWidth: 0, directives: false })
}
