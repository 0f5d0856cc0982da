// olareg as another registry to pull from through the one under test: it has a token service of its
// own and the referrers API, which Debian's docker-registry has not. It does not log what it is asked
// for, so it is behind a gate that does.

import { mkdtemp, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { startDaemon } from './daemon.ts'
import { send } from './http-client.ts'
import type { Login } from './start-registry.ts'
import { until } from './until.ts'
import { UpstreamGate } from './upstream-gate.ts'
import { passwordLine } from './upstream-registry.ts'

interface OlaregOptions {
  /** Where its files are made. */
  readonly directory: string
  /** Where it keeps what is pushed; several at a time may read from the same one. */
  readonly storage: string
  /** Who may do everything; nobody else may do anything. */
  readonly login: Login
}

export async function startOlareg(options: OlaregOptions): Promise<UpstreamGate> {
  const directory = await mkdtemp(join(options.directory, 'olareg-'))
  const access = join(directory, 'access.json')
  await writeFile(access, JSON.stringify(await accessOf(options.login)))
  return await UpstreamGate.start(async (gate) => {
    const port = await findFreePort()
    const serve = ['serve', '--addr', '127.0.0.1', '--port', `${port}`, '--dir', options.storage]
    const tokens = ['--auth-token-opaque', access, '--external-url', `http://${gate}`]
    const args = ['--verbosity', 'info', ...serve, ...tokens]
    const daemon = await startDaemon('olareg', args, { ready: 'launching server', directory })
    const host = `127.0.0.1:${port}`
    // It says that it is up just before it is.
    await until('olareg answers', async () => {
      const asked = send('GET', new URL(`http://${host}/v2/`))
      return await asked.then(({ status }) => status === 401).catch(() => false)
    })
    return { ...daemon, host }
  })
}

/** Its configuration is YAML, so JSON will do. */
async function accessOf(login: Login): Promise<object> {
  const cred = (await passwordLine(login)).trim().slice(`${login.name}:`.length)
  return {
    users: { [login.name]: { cred } },
    acls: [{ repo: '*', access: ['*'], members: [login.name] }],
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
