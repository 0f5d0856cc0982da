/** The tree of `trow inspect` as people read it. */
import type { UpstreamReferrer } from '../upstream/referrers.ts'
import { printable } from '../oci/upstream-error.ts'
import { formatBytes, formatCount } from './format.ts'
import {
  type ConfigNode,
  type ContentNode,
  contentBytesOf,
  type ManifestNode,
} from './manifest-tree.ts'
import type { Terminal } from './terminal.ts'
import { type Branch, renderTree } from './tree.ts'

export interface Inspection {
  readonly reference: string
  readonly root: ManifestNode
  /** Undefined when they could not be read. */
  readonly referrers: readonly UpstreamReferrer[] | undefined
}

export function formatInspection(inspection: Inspection, terminal: Terminal): string {
  const { reference, root, referrers = [] } = inspection
  const { platform, artifactType } = root
  const facts: [title: string, text: string][] = [
    ['digest', root.digest],
    ['media type', root.mediaType],
    ...(platform === undefined ? [] : [['platform', platform] as [string, string]]),
    ...(artifactType === undefined ? [] : [['artifact', artifactType] as [string, string]]),
    ['content', describeContent(root)],
  ]
  const lines = facts.map(
    ([title, text]) => `${terminal.dim(title.padEnd(10))}  ${printable(text)}`,
  )
  const branches = [...branchesOf(root), ...referrerBranches(referrers)]
  return `${[terminal.emphasize(reference), ...lines, ...renderTree(branches)].join('\n')}\n`
}

function describeContent(node: ManifestNode): string {
  const { manifests, layers = [] } = node
  const parts =
    manifests === undefined
      ? formatCount(layers.length, 'layer')
      : formatCount(manifests.length, 'manifest')
  return `${formatBytes(contentBytesOf(node))} in ${parts}`
}

function branchesOf(node: ManifestNode): Branch[] {
  const { config, layers = [], manifests = [], annotations, subject, error } = node
  return [
    ...(error === undefined ? [] : [{ cells: [`not readable: ${error}`] }]),
    ...(config === undefined ? [] : [configBranch(config)]),
    ...layers.map((layer) => contentBranch('layer', layer)),
    ...manifests.map(manifestBranch),
    ...annotationBranches(annotations),
    ...(subject === undefined ? [] : [contentBranch('subject', subject)]),
  ]
}

function manifestBranch(node: ManifestNode): Branch {
  const { platform, artifactType, mediaType, digest, error } = node
  const size = error === undefined ? formatBytes(contentBytesOf(node)) : '-'
  const name = platform ?? artifactType ?? mediaType
  return { cells: [name, digest, size], children: branchesOf(node) }
}

function contentBranch(
  title: string,
  { mediaType, digest, size, annotations }: ContentNode,
): Branch {
  return {
    cells: [title, digest, formatBytes(size), mediaType],
    children: annotationBranches(annotations),
  }
}

function configBranch(config: ConfigNode): Branch {
  const { created, entrypoint, cmd, envCount } = config
  const branch = contentBranch('config', config)
  const facts: [title: string, text: string | undefined][] = [
    ['created', created],
    ['entrypoint', entrypoint && JSON.stringify(entrypoint)],
    ['cmd', cmd && JSON.stringify(cmd)],
    ['env', envCount === undefined ? undefined : formatCount(envCount, 'variable')],
  ]
  const branches = facts.flatMap(([title, text]) =>
    text === undefined ? [] : [{ cells: [title, text] }],
  )
  return { ...branch, children: [...branches, ...(branch.children ?? [])] }
}

function annotationBranches(annotations: Readonly<Record<string, string>> = {}): Branch[] {
  const entries = Object.entries(annotations)
  if (entries.length === 0) return []
  return [
    { cells: ['annotations'], children: entries.map(([key, text]) => ({ cells: [key, text] })) },
  ]
}

function referrerBranches(referrers: readonly UpstreamReferrer[]): Branch[] {
  if (referrers.length === 0) return []
  const children = referrers.map(({ artifactType, mediaType, digest, size, annotations }) => ({
    cells: [artifactType ?? mediaType, digest, formatBytes(size)],
    children: annotationBranches(annotations),
  }))
  return [{ cells: [formatCount(referrers.length, 'referrer')], children }]
}
