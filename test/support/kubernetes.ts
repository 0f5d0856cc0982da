// A real Kubernetes API server on a real etcd, without nodes: pods are created, changed and judged as in
// any cluster, only that nobody runs them. What is sent to it is plain JSON over HTTPS.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findFreePort } from './free-port.ts'
import { type Reply, send } from './http-client.ts'
import { getTool } from './tools.ts'
import { until } from './until.ts'

const execute = promisify(execFile)

/** An EndpointSlice may not name a loopback address, so one that is none is put on that device. */
export const nodeAddress = '10.77.0.1'

export interface KubernetesOptions {
  /** Where its files are made. */
  readonly directory: string
  /** Users beside the administrator, by their bearer token. */
  readonly users?: Readonly<Record<string, { name: string; groups?: readonly string[] }>>
  /** Whether Deployments make pods, service accounts exist, and what is deleted takes its own along. */
  readonly controllers?: boolean
}

export interface KubernetesRequest {
  readonly body?: object
  /** The administrator's unless it is given. */
  readonly token?: string
  readonly contentType?: string
}

export class Kubernetes implements AsyncDisposable {
  readonly url: string
  /** PEM. */
  readonly ca: string
  readonly token: string
  /** Path of the administrator's kubeconfig. */
  readonly kubeconfig: string
  readonly #directory: string
  readonly #processes: readonly ChildProcess[]

  constructor(parts: {
    port: number
    ca: string
    token: string
    directory: string
    processes: readonly ChildProcess[]
  }) {
    this.url = `https://127.0.0.1:${parts.port}`
    this.ca = parts.ca
    this.token = parts.token
    this.kubeconfig = kubeconfigPath(parts.directory)
    this.#directory = parts.directory
    this.#processes = parts.processes
  }

  async request(method: string, path: string, options: KubernetesRequest = {}): Promise<Reply> {
    const { body, token = this.token, contentType = 'application/json' } = options
    const headers = { authorization: `Bearer ${token}`, 'content-type': contentType }
    return await send(
      method,
      new URL(path, this.url),
      { headers, ...(body && { body: JSON.stringify(body) }) },
      { ca: this.ca },
    )
  }

  /** What the API server made of it. */
  async create(path: string, body: object): Promise<unknown> {
    const reply = await this.request('POST', path, { body })
    assert.equal(reply.status, 201, reply.body.toString())
    return reply.json()
  }

  /** The audit log so far. */
  async auditEvents(): Promise<Record<string, unknown>[]> {
    const text = await readFile(join(this.#directory, 'audit.log'), 'utf8')
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#processes.toReversed()) await end(process)
  }
}

export async function startKubernetes(options: KubernetesOptions): Promise<Kubernetes> {
  const directory = join(options.directory, 'kubernetes')
  await mkdir(directory, { recursive: true })
  await using started = new AsyncDisposableStack()
  const etcdUrl = `http://127.0.0.1:${await findFreePort()}`
  const peerUrl = `http://127.0.0.1:${await findFreePort()}`
  const etcd = startProcess('etcd', directory, [
    `--data-dir=${join(directory, 'etcd')}`,
    '--unsafe-no-fsync',
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
  ])
  started.defer(async () => await end(etcd))
  const port = await findFreePort()
  const token = 'administrator'
  await writeFiles(directory, {
    [token]: { name: 'admin', groups: ['system:masters'] },
    ...options.users,
  })
  const flags = apiServerFlags(directory, etcdUrl, port)
  // Without the controllers nobody makes the service accounts that pods need.
  if (options.controllers !== true) flags.push('--disable-admission-plugins=ServiceAccount')
  const server = startProcess('kube-apiserver', directory, flags)
  started.defer(async () => await end(server))
  const url = new URL(`https://127.0.0.1:${port}/readyz`)
  const ca = await until('the API server is ready', async () => {
    if (server.exitCode !== null) throw new Error(await readFile(join(directory, 'log'), 'utf8'))
    const certificate = await readFile(join(directory, 'pki/apiserver.crt'), 'utf8').catch(() => '')
    if (certificate === '') return false
    const headers = { authorization: `Bearer ${token}` }
    const reply = await send('GET', url, { headers }, { ca: certificate }).catch(() => undefined)
    return reply?.status === 200 && certificate
  })
  await writeFile(kubeconfigPath(directory), JSON.stringify(kubeconfig(port, ca, token)))
  const processes = [etcd, server]
  if (options.controllers === true) processes.push(startControllers(directory))
  started.move()
  return new Kubernetes({ port, ca, token, directory, processes })
}

function startControllers(directory: string): ChildProcess {
  return startProcess('kube-controller-manager', directory, [
    `--kubeconfig=${kubeconfigPath(directory)}`,
    `--root-ca-file=${join(directory, 'pki/apiserver.crt')}`,
    `--service-account-private-key-file=${join(directory, 'service-account.key')}`,
    '--use-service-account-credentials',
    // There are no kubelets that would say that their nodes are well.
    '--controllers=*,-node-lifecycle-controller',
    '--leader-elect=false',
    '--secure-port=0',
  ])
}

function kubeconfigPath(directory: string): string {
  return join(directory, 'kubeconfig')
}

function kubeconfig(port: number, ca: string, token: string): object {
  const cluster = {
    server: `https://127.0.0.1:${port}`,
    'certificate-authority-data': Buffer.from(ca).toString('base64'),
  }
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'admin', user: { token } }],
  }
}

/** Puts an address on the loopback device for as long as it is needed. Only root can. */
export async function claimNodeAddress(address: string = nodeAddress): Promise<AsyncDisposable> {
  const change = async (verb: string) =>
    await execute('ip', ['address', verb, `${address}/32`, 'dev', 'lo'])
  await change('replace')
  return { [Symbol.asyncDispose]: async () => void (await change('delete')) }
}

async function writeFiles(
  directory: string,
  users: NonNullable<KubernetesOptions['users']>,
): Promise<void> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' })
  await writeFile(join(directory, 'service-account.key'), pem)
  for (const [token, { name, groups = [] }] of Object.entries(users)) {
    await appendFile(
      join(directory, 'tokens.csv'),
      `${token},${name},${name},"${groups.join(',')}"\n`,
    )
  }
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [{ level: 'Metadata' }] }
  await writeFile(join(directory, 'audit.json'), JSON.stringify(policy))
}

function apiServerFlags(directory: string, etcdUrl: string, port: number): string[] {
  const key = join(directory, 'service-account.key')
  return [
    `--etcd-servers=${etcdUrl}`,
    `--secure-port=${port}`,
    '--bind-address=127.0.0.1',
    `--advertise-address=${nodeAddress}`,
    `--cert-dir=${join(directory, 'pki')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    `--token-auth-file=${join(directory, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--endpoint-reconciler-type=none',
    // Services are reached at their endpoints: there is no kube-proxy either.
    '--enable-aggregator-routing=true',
    '--allow-privileged=true',
    `--audit-policy-file=${join(directory, 'audit.json')}`,
    `--audit-log-path=${join(directory, 'audit.log')}`,
  ]
}

function startProcess(
  tool: 'etcd' | 'kube-apiserver' | 'kube-controller-manager',
  directory: string,
  args: readonly string[],
): ChildProcess {
  const child = spawn(getTool(tool), args, {
    cwd: directory,
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  child.stderr?.on('data', (text: Buffer) => void appendFile(join(directory, 'log'), text))
  return child
}

/** Kills it, unless it has ended, and waits for its end. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}
