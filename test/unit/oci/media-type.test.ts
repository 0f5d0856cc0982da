// Media types: which are manifests, indexes, old docker schemas, and layers that may be elsewhere.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  essence,
  isIndexMediaType,
  isManifestMediaType,
  isNondistributableMediaType,
  isSchema1MediaType,
} from '../../../src/oci/media-type.ts'

type Kind = 'image' | 'index' | 'schema 1' | 'nondistributable' | 'other'

const kinds: [mediaType: string, kind: Kind][] = [
  ['application/vnd.oci.image.manifest.v1+json', 'image'],
  ['application/vnd.oci.artifact.manifest.v1+json', 'image'],
  ['application/vnd.docker.distribution.manifest.v2+json', 'image'],
  ['application/vnd.oci.image.index.v1+json', 'index'],
  ['application/vnd.docker.distribution.manifest.list.v2+json', 'index'],
  ['application/vnd.docker.distribution.manifest.v1+json', 'schema 1'],
  ['application/vnd.docker.distribution.manifest.v1+prettyjws', 'schema 1'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar', 'nondistributable'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', 'nondistributable'],
  ['application/vnd.oci.image.layer.nondistributable.v1.tar+zstd', 'nondistributable'],
  ['application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', 'nondistributable'],
  ['application/vnd.oci.image.layer.v1.tar+gzip', 'other'],
  ['application/vnd.docker.image.rootfs.diff.tar.gzip', 'other'],
  ['application/vnd.oci.image.config.v1+json', 'other'],
  ['application/vnd.oci.image.manifest.v2+json', 'other'],
  ['application/json', 'other'],
  ['', 'other'],
]

for (const [mediaType, kind] of kinds) {
  test(`${mediaType || 'an empty media type'}: ${kind}`, () => {
    assert.equal(isManifestMediaType(mediaType), kind === 'image' || kind === 'index')
    assert.equal(isIndexMediaType(mediaType), kind === 'index')
    assert.equal(isSchema1MediaType(mediaType), kind === 'schema 1')
    assert.equal(isNondistributableMediaType(mediaType), kind === 'nondistributable')
  })
}

const headers: [header: string, expected: string][] = [
  ['application/json', 'application/json'],
  ['application/json; charset=utf-8', 'application/json'],
  ['application/json;charset=utf-8;x="a;b"', 'application/json'],
  ['  Application/JSON  ', 'application/json'],
  ['', ''],
  [';', ''],
]

for (const [header, expected] of headers) {
  test(`of the header ${JSON.stringify(header)} the type is ${JSON.stringify(expected)}`, () => {
    assert.equal(essence(header), expected)
  })
}
