// The clients' own login commands, for the clients that have one.

import { connectionFlags, runClient, type Registry } from '../support/clients.ts'
import type { Login } from './scene.ts'

const commands = {
  skopeo: ['login'],
  podman: ['login'],
  buildah: ['login'],
  crane: ['auth', 'login'],
  oras: ['login'],
  regctl: ['registry', 'login'],
} as const

export type LoginClient = keyof typeof commands

export const loginClients = Object.keys(commands) as LoginClient[]

/** Logs in; the client keeps the login for who is `isLoggedIn` in the same directory. */
export async function logIn(name: LoginClient, registry: Registry, login: Login): Promise<void> {
  const { username, password } = login
  const credentials = ['-u', username, '-p', password]
  const args = [...commands[name], ...connectionFlags(name, registry), ...credentials]
  await runClient(name, [...args, registry.registry], registry)
}
