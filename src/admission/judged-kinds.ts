/** The kinds of objects that name images, and where their pods' specification is. */

export interface JudgedKind {
  /** Keys from the object to the specification of its pods. */
  readonly path: readonly string[]
  /** Not the pods themselves, which come later, one by one. */
  readonly isTemplate: boolean
}

const inTemplate: JudgedKind = { path: ['spec', 'template', 'spec'], isTemplate: true }

/** By group and kind; whatever its version, the specification is at the same place. */
const kinds = new Map<string, JudgedKind>([
  ['/Pod', { path: ['spec'], isTemplate: false }],
  ['/PodTemplate', { path: ['template', 'spec'], isTemplate: true }],
  ['/ReplicationController', inTemplate],
  ['apps/Deployment', inTemplate],
  ['apps/ReplicaSet', inTemplate],
  ['apps/DaemonSet', inTemplate],
  ['apps/StatefulSet', inTemplate],
  // Where these were before Kubernetes 1.16.
  ['extensions/Deployment', inTemplate],
  ['extensions/ReplicaSet', inTemplate],
  ['extensions/DaemonSet', inTemplate],
  ['batch/Job', inTemplate],
  [
    'batch/CronJob',
    { path: ['spec', 'jobTemplate', 'spec', 'template', 'spec'], isTemplate: true },
  ],
])

export function findJudgedKind(group: string, kind: string): JudgedKind | undefined {
  return kinds.get(`${group}/${kind}`)
}

/** For metrics: a label must not be the caller's to choose. */
export const judgedKindNames: ReadonlySet<string> = new Set(
  [...kinds.keys()].map((name) => name.slice(name.indexOf('/') + 1)),
)
