/**
 * Scopes of the Docker token flow (distribution, "Token Scope Documentation"):
 * `<type>:<name>:<action>[,<action>...]`, `repository:library/nginx:pull,push` for example.
 */

export type Action = 'pull' | 'push' | 'delete' | '*'

export interface Scope {
  /** `repository` or `registry`; others are kept as they came and granted nothing. */
  readonly type: string
  readonly name: string
  readonly actions: readonly Action[]
}

const actions: readonly string[] = ['pull', 'push', 'delete', '*']

/** @returns undefined for text that is no scope; unknown actions are left out. */
export function parseScope(text: string): Scope | undefined {
  const first = text.indexOf(':')
  const last = text.lastIndexOf(':')
  if (first <= 0 || last <= first) return undefined
  const type = withoutClass(text.slice(0, first))
  const name = text.slice(first + 1, last)
  const asked = text.slice(last + 1).split(',')
  return {
    type,
    name,
    actions: asked.filter((action): action is Action => actions.includes(action)),
  }
}

/** A type may carry a class, `repository(plugin)`, which changes nothing for us. */
function withoutClass(type: string): string {
  const start = type.indexOf('(')
  return start > 0 && type.endsWith(')') ? type.slice(0, start) : type
}

export function formatScope(scope: Scope): string {
  return `${scope.type}:${scope.name}:${scope.actions.join(',')}`
}
