// A Docker daemon of the test's own, with a containerd of its own: it pulls, by its API, as `docker
// pull` has it do. It has no network and the copying storage driver, and only root can start it.

import { request } from 'node:http'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { startContainerd } from './containerd.ts'
import { startDaemon } from './daemon.ts'

const callTimeoutMs = 2 * 60 * 1000

export interface DockerDaemon extends AsyncDisposable {
  /** Pulls an image and forgets it again; the digest that the daemon said it has. */
  pull(repository: string, tag: string): Promise<string>
}

/** @param mirrors URLs, as in `registry-mirrors` of daemon.json. */
export async function startDockerDaemon(mirrors: readonly string[] = []): Promise<DockerDaemon> {
  await using resources = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'trow-docker-'))
  resources.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
  const containerd = resources.use(await startContainerd(directory, { edition: 'debian' }))
  const socket = join(directory, 'docker.sock')
  const config = join(directory, 'daemon.json')
  const settings = {
    'registry-mirrors': mirrors,
    'data-root': join(directory, 'data'),
    'exec-root': join(directory, 'exec'),
    pidfile: join(directory, 'docker.pid'),
    hosts: [`unix://${socket}`],
    containerd: containerd.address,
    'storage-driver': 'vfs',
    bridge: 'none',
    iptables: false,
    ip6tables: false,
  }
  await writeFile(config, JSON.stringify(settings))
  const options = { ready: 'API listen on', directory }
  resources.use(await startDaemon('dockerd', ['--config-file', config], options))
  const opened = resources.move()
  return {
    pull: (repository, tag) => pull(socket, repository, tag),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}

async function pull(socket: string, repository: string, tag: string): Promise<string> {
  const query = new URLSearchParams({ fromImage: repository, tag })
  const progress = await call(socket, 'POST', `/images/create?${query.toString()}`)
  const digest = /"Digest: (sha256:[0-9a-f]{64})"/.exec(progress)?.[1]
  // A pull that fails later than at once is a 200 as well, with the error on the last line.
  if (digest === undefined) throw new Error(`dockerd: ${progress.split('\n').slice(-3).join('\n')}`)
  await call(socket, 'DELETE', `/images/${repository}:${tag}`)
  return digest
}

async function call(socketPath: string, method: string, path: string): Promise<string> {
  const signal = AbortSignal.timeout(callTimeoutMs)
  return await new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, signal }, (reply) => {
      const { statusCode = 0 } = reply
      text(reply).then((body) => {
        if (statusCode < 300) resolve(body)
        else reject(new Error(`dockerd: ${method} ${path}: ${statusCode} ${body}`))
      }, reject)
    })
    outgoing.on('error', reject).end()
  })
}
