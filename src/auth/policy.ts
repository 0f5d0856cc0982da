/**
 * Who may do what. One configured user may do everything, anonymous nothing, or pull if so
 * configured; without a user everyone may do everything. Names of resources are those of
 * distribution's "Token Scope Documentation".
 */
import type { Action, Scope } from '../oci/scope.ts'

/** The actions that are allowed on a resource; `*` stands for all of them. */
export type Rights = (type: string, name: string) => readonly Action[]

const everything: readonly Action[] = ['*']
const nothing: readonly Action[] = []

export const allRights: Rights = (type, name) =>
  type === 'repository' || isCatalog(type, name) || isAdmin(type, name) ? everything : nothing

export const noRights: Rights = () => nothing

/** Who may pull any repository may know their names too. */
export const pullRights: Rights = (type, name) => {
  if (type === 'repository') return ['pull']
  return isCatalog(type, name) ? everything : nothing
}

/** The resource that listing repositories needs. */
export const catalogScope: Scope = { type: 'registry', name: 'catalog', actions: ['*'] }

/** The resource that work on the whole registry needs: collecting, for one. */
export const adminScope: Scope = { type: 'registry', name: 'admin', actions: ['*'] }

function isCatalog(type: string, name: string): boolean {
  return type === catalogScope.type && name === catalogScope.name
}

function isAdmin(type: string, name: string): boolean {
  return type === adminScope.type && name === adminScope.name
}

/** Exactly what is listed: the rights of a token. */
export function listedRights(access: readonly Scope[]): Rights {
  return (type, name) =>
    access
      .filter((scope) => scope.type === type && scope.name === name)
      .flatMap((scope) => scope.actions)
}

/** What both allow. */
export function commonRights(first: Rights, second: Rights): Rights {
  return (type, name) => common(first(type, name), second(type, name))
}

export function isAllowed(rights: Rights, { type, name, actions }: Scope): boolean {
  const allowed = rights(type, name)
  return (
    actions.length > 0 &&
    actions.every((action) => allowed.includes('*') || allowed.includes(action))
  )
}

/** The part of what is asked for that is allowed: one scope per resource, in the order asked. */
export function grantedScopes(rights: Rights, asked: readonly Scope[]): Scope[] {
  const byResource = new Map<string, Scope>()
  for (const { type, name, actions } of asked) {
    const key = `${type}:${name}`
    const granted = common(rights(type, name), actions)
    const known = byResource.get(key)?.actions ?? []
    if (granted.length === 0) continue
    byResource.set(key, { type, name, actions: [...new Set([...known, ...granted])] })
  }
  return [...byResource.values()]
}

function common(first: readonly Action[], second: readonly Action[]): readonly Action[] {
  if (first.includes('*')) return [...new Set(second)]
  if (second.includes('*')) return [...new Set(first)]
  return [...new Set(first)].filter((action) => second.includes(action))
}
