/** An OCI image layout (image-spec, image-layout.md) that is being written: `index.json` comes last. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly platform?: { readonly os: string; readonly architecture: string }
  readonly annotations?: Readonly<Record<string, string>>
  readonly artifactType?: string
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

export class OciLayout {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  async addBlob(mediaType: string, bytes: Uint8Array): Promise<Descriptor> {
    const digest = digestOf(bytes)
    const blobs = join(this.#directory, 'blobs/sha256')
    await mkdir(blobs, { recursive: true })
    await writeFile(join(blobs, digest.slice('sha256:'.length)), bytes)
    return { mediaType, digest, size: bytes.length }
  }

  async addJson(mediaType: string, content: object): Promise<Descriptor> {
    return await this.addBlob(mediaType, Buffer.from(JSON.stringify(content)))
  }

  /** @param tag the name under which clients find `root` in the layout. */
  async finish(root: Descriptor, tag: string, others: readonly Descriptor[]): Promise<void> {
    const named = { ...root, annotations: { 'org.opencontainers.image.ref.name': tag } }
    const index = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [named, ...others],
    }
    await writeFile(join(this.#directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    await writeFile(join(this.#directory, 'index.json'), JSON.stringify(index))
  }
}
