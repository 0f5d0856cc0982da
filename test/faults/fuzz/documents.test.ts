// Hostile documents: manifests as they are pushed, configs as `trow inspect` reads them, the
// configuration file. Each is taken or refused in its own way, soon; what is taken is what it says.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { readImageConfig, type RemoteRepository } from '../../../src/cli/image-content.ts'
import { ConfigError } from '../../../src/config/config-error.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { digestOf, isDigest } from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { type Manifest, parseManifest } from '../../../src/oci/manifest.ts'
import { isManifestMediaType, mediaTypes } from '../../../src/oci/media-type.ts'
import { UpstreamError } from '../../../src/oci/upstream-error.ts'
import type { Random } from '../../simulation/random.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { fuzz } from './budget.ts'
import { bend, hostileJson, maybeBend } from './generate.ts'

const digest = digestOf(Buffer.from('{}'))
const descriptor = { mediaType: mediaTypes.ociConfig, digest, size: 2 }
const child = { mediaType: mediaTypes.ociManifest, digest, size: 2 }
const sound = [
  {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: descriptor,
    layers: [descriptor, descriptor],
    subject: child,
    annotations: { a: 'b' },
    artifactType: 'application/x',
  },
  { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [child], subject: child },
  { schemaVersion: 2, mediaType: mediaTypes.dockerManifest, config: descriptor, layers: [] },
  { schemaVersion: 1, name: 'a', fsLayers: [] },
]
const fields = ['config', 'layers', 'manifests', 'subject', 'annotations', 'artifactType', 'blobs']

/** A sound one with a field that is anything, or bent as text, or nothing of the kind. */
function hostileManifest(random: Random): Buffer {
  const text = JSON.stringify(random.pick(sound))
  switch (random.below(5)) {
    case 0:
      return Buffer.from(hostileJson(random))
    case 1: {
      const bytes = Buffer.from(text)
      bytes[random.below(bytes.length)] = random.below(256)
      return bytes
    }
    case 2:
      return Buffer.from(bend(random, text))
    case 3:
      // The last of two keys counts, for a parser of JSON; whoever looks at the first sees another.
      return Buffer.from(`${text.slice(0, -1)},"${random.pick(fields)}":${hostileJson(random)}}`)
    default:
      return Buffer.from(`{"${random.pick(fields)}":${hostileJson(random)},${text.slice(1)}`)
  }
}

const contentTypes = [
  mediaTypes.ociManifest,
  mediaTypes.ociIndex,
  mediaTypes.dockerList,
  mediaTypes.octetStream,
]

function manifests(random: Random): void {
  const bytes = hostileManifest(random)
  const contentType = random.chance(2) ? undefined : maybeBend(random, random.pick(contentTypes))
  let manifest: Manifest
  try {
    manifest = parseManifest(bytes, contentType)
  } catch (error) {
    if (!(error instanceof OciError)) throw error
    assert.equal(error.code, 'MANIFEST_INVALID')
    assert.ok(error.message.length < 2_000, `a message of ${error.message.length} characters`)
    return
  }
  assert.ok(isManifestMediaType(manifest.mediaType))
  const all = [...manifest.blobs, ...manifest.manifests, ...manifest.optionalBlobs]
  for (const { digest: named, size } of [...all, ...(manifest.subject ? [manifest.subject] : [])]) {
    assert.ok(isDigest(named))
    assert.ok(Number.isSafeInteger(size) && size >= 0)
  }
  for (const text of Object.values(manifest.annotations ?? {})) assert.equal(typeof text, 'string')
}

async function imageConfigs(random: Random): Promise<void> {
  const config = { os: 'linux', architecture: 'amd64', config: { Env: ['A=B'], Cmd: ['c'] } }
  const text = JSON.stringify(config)
  const bytes = Buffer.from(random.chance(2) ? bend(random, text) : hostileJson(random))
  const client = { readBlob: () => Promise.resolve(bytes) }
  const remote = { client, repository: 'a', signal: AbortSignal.any([]) }
  try {
    const read = await readImageConfig(remote as unknown as RemoteRepository, digest)
    assert.ok(read.envCount >= 0)
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
  }
}

const configurations = [
  'bind: 0.0.0.0:8000\ndata_dir: ./data\nlog_level: info\nhostname: [a.example, b.example:8000]\n',
  'auth:\n  user: ann\n  password: "x"\n  anonymous_pull: true\nuploads:\n  idle_timeout: 24h\n',
  'registry_proxies:\n  tag_ttl: 60s\n  max_size: 50GB\n  registries:\n' +
    '  - host: a.example\n    username: u\n    password: p\n    insecure: false\n    endpoints: []\n',
  'image_validation:\n  default: Deny\n  allow: [a.example/]\n  deny:\n  - "*"\n',
  'cors:\n  origins: ["https://a.example"]\ntrusted_proxies: [10.0.0.0/8, "fd00::/8"]\n',
  'a: &a [x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n',
]

const bentYaml = [
  '? - a\n',
  '!!js/function x',
  '&a *a',
  '<<: *a\n',
  '- - - -',
  '%YAML 9.9\n',
  '---\n',
]

function hostileYaml(random: Random): string {
  const text = random.pick(configurations)
  const at = random.below(text.length)
  switch (random.below(4)) {
    case 0:
      return `${text.slice(0, at)}${random.pick(bentYaml)}${text.slice(at)}`
    case 1:
      return `${text}${random.pick(configurations)}`
    case 2:
      return hostileJson(random)
    default:
      return bend(random, text)
  }
}

describe('hostile documents', () => {
  test('as manifests are taken or refused', (t) => fuzz(t, 3, manifests))
  test('as configs of images are read or refused', (t) => fuzz(t, 1, imageConfigs))

  test('as the configuration file are taken or refused, with the place', async (t) => {
    await using directory = await temporaryDirectory()
    const file = join(directory.path, 'trow.yaml')
    const flags = new Map([['--config-file', [file]]])
    await fuzz(t, 4, async (random) => {
      await writeFile(file, hostileYaml(random))
      try {
        await loadConfig({ flags, environment: {} })
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        assert.ok(error.problems.length > 0)
      }
    })
  })
})
