// A BuildKit of the test's own that resolves images by its mirrors, and a build that does nothing but
// pull: `FROM image`. Only root can start it.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freshDirectory, parseDigest, runClient, type Registry } from './clients.ts'
import { startDaemon } from './daemon.ts'

/** @param mirrors of registries, each without a scheme, as in buildkitd.toml. */
export async function buildFrom(
  image: string,
  mirrors: Readonly<Record<string, string>>,
  client: Registry,
): Promise<string> {
  await using resources = new AsyncDisposableStack()
  // Not below the client's directory: the path of a socket has 107 characters at most.
  const directory = await mkdtemp(join(tmpdir(), 'trow-buildkit-'))
  resources.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }))
  const config = join(directory, 'buildkitd.toml')
  const address = `unix://${join(directory, 'buildkitd.sock')}`
  await writeFile(config, buildkitConfig(directory, address, mirrors, client.registry))
  const options = { ready: 'running server on', directory }
  resources.use(await startDaemon('buildkitd', ['--config', config], options))
  return await build(address, image, client)
}

function buildkitConfig(
  directory: string,
  address: string,
  mirrors: Readonly<Record<string, string>>,
  registry: string,
): string {
  const mirrored = Object.entries(mirrors).map(
    ([name, mirror]) => `[registry."${name}"]\nmirrors = ["${mirror}"]\n`,
  )
  return `root = "${join(directory, 'root')}"
[grpc]
address = ["${address}"]
[worker.oci]
enabled = true
snapshotter = "native"
binary = "crun"
[worker.containerd]
enabled = false
[registry."${registry}"]
http = true
${mirrored.join('')}`
}

/** @returns the digest that the image's name was resolved to. */
async function build(address: string, image: string, client: Registry): Promise<string> {
  const context = await freshDirectory(client, 'context')
  // The export is what makes it fetch the layers; the label, what makes it an image of its own.
  await writeFile(join(context, 'Dockerfile'), `FROM ${image}\nLABEL made=here\n`)
  const built = await freshDirectory(client, 'built')
  const trace = join(built, 'trace.json')
  const from = ['--local', `context=${context}`, '--local', `dockerfile=${context}`]
  const to = ['--output', `type=oci,dest=${join(built, 'image.tar')}`, '--trace', trace]
  const args = ['--addr', address, 'build', '--frontend', 'dockerfile.v0', ...from, ...to]
  await runClient('buildctl', args, client)
  const [, steps = ''] = (await readFile(trace, 'utf8')).split(`FROM ${image}@`)
  return parseDigest(steps)
}
