// Manifests: media types from the document, the header or the shape; what they refer to; what is
// refused, with the place named. Image specification: manifest.md and image-index.md.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { isDigest } from '../../../src/oci/digest.ts'
import { OciError } from '../../../src/oci/errors.ts'
import { type Manifest, parseManifest } from '../../../src/oci/manifest.ts'
import { isManifestMediaType, mediaTypes } from '../../../src/oci/media-type.ts'

const layerType = 'application/vnd.oci.image.layer.v1.tar+gzip'
const foreignType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
const dockerConfigType = 'application/vnd.docker.container.image.v1+json'
const { ociManifest, ociIndex, ociArtifact, ociConfig, dockerManifest, dockerList } = mediaTypes

function digest(seed: number): string {
  return `sha256:${seed.toString(16).padStart(64, '0')}`
}

function descriptor(seed: number, mediaType: string = layerType): Record<string, unknown> {
  return { mediaType, digest: digest(seed), size: seed }
}

const image = { schemaVersion: 2, config: descriptor(1, ociConfig), layers: [descriptor(2)] }
const index = { schemaVersion: 2, manifests: [descriptor(3, ociManifest)] }

function parse(document: unknown, contentType?: string): Manifest {
  return parseManifest(Buffer.from(JSON.stringify(document)), contentType)
}

function digests(descriptors: Manifest['blobs']): string[] {
  return descriptors.map((descriptor) => descriptor.digest)
}

function assertInvalid(act: () => unknown, problem: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof OciError, String(error))
    assert.equal(error.code, 'MANIFEST_INVALID')
    assert.equal(error.status, 400)
    assert.match(error.message, problem)
    return true
  })
}

describe('the media type', () => {
  for (const mediaType of [ociManifest, dockerManifest]) {
    test(`${mediaType} is an image, whoever says so`, () => {
      for (const manifest of [
        parse({ ...image, mediaType }),
        parse({ ...image, mediaType }, mediaType),
        parse(image, mediaType),
        parse(image, `${mediaType}; charset=utf-8`),
        parse(image, mediaType.toUpperCase()),
        parse({ ...image, mediaType }, 'application/json'),
      ]) {
        assert.equal(manifest.mediaType, mediaType)
        assert.deepEqual(digests(manifest.blobs), [digest(1), digest(2)])
        assert.deepEqual(manifest.manifests, [])
      }
    })
  }

  for (const mediaType of [ociIndex, dockerList]) {
    test(`${mediaType} is an index, whoever says so`, () => {
      for (const manifest of [
        parse({ ...index, mediaType }),
        parse({ ...index, mediaType }, mediaType),
        parse(index, mediaType),
      ]) {
        assert.equal(manifest.mediaType, mediaType)
        assert.deepEqual(manifest.blobs, [])
        assert.deepEqual(digests(manifest.manifests), [digest(3)])
      }
    })
  }

  const shapes: [name: string, document: object, expected: string][] = [
    ['a config', image, ociManifest],
    ["docker's config", { ...image, config: descriptor(1, dockerConfigType) }, dockerManifest],
    ['children', index, ociIndex],
    ["docker's children", { manifests: [descriptor(3, dockerManifest)] }, dockerList],
    ['no children', { manifests: [] }, ociIndex],
    ['children and a config', { ...image, ...index }, ociIndex],
  ]
  for (const [name, document, expected] of shapes) {
    for (const contentType of [undefined, '', 'application/json', 'text/plain']) {
      test(`of ${name} under Content-Type ${contentType ?? 'none'} is inferred`, () => {
        assert.equal(parse(document, contentType).mediaType, expected)
      })
    }
  }

  const refused: [name: string, document: unknown, contentType: string | undefined, RegExp][] = [
    [
      'that differs from the header',
      { ...image, mediaType: ociManifest },
      dockerManifest,
      /Content-Type header says/,
    ],
    [
      'that differs in kind from the header',
      { ...index, mediaType: ociIndex },
      ociManifest,
      /Content-Type header says/,
    ],
    [
      'that is no manifest',
      { ...image, mediaType: layerType },
      undefined,
      /is not a manifest type/,
    ],
    ['that is no text', { ...image, mediaType: 7 }, undefined, /mediaType is not a string/],
    ['that is null', { ...image, mediaType: null }, undefined, /mediaType is not a string/],
    [
      'that nothing tells',
      { schemaVersion: 2 },
      undefined,
      /neither a mediaType nor a Content-Type/,
    ],
    [
      'that nothing tells in JSON',
      { config: [] },
      'application/json',
      /neither "config" nor "manifests"/,
    ],
    [
      'of schema 1',
      { ...image, mediaType: mediaTypes.dockerSchema1 },
      undefined,
      /schema 1 is not supported/,
    ],
    ['of signed schema 1', {}, mediaTypes.dockerSchema1Signed, /schema 1 is not supported/],
    [
      'of schema version 1',
      { schemaVersion: 1, fsLayers: [] },
      undefined,
      /schema 1 is not supported/,
    ],
  ]
  for (const [name, document, contentType, problem] of refused) {
    test(`${name} is refused`, () => assertInvalid(() => parse(document, contentType), problem))
  }
})

describe('content', () => {
  test('unknown fields change nothing', () => {
    const fields = { extra: { digest: 'x' }, urls: null, config2: 1, signatures: [] }
    assert.deepEqual(parse({ ...image, ...fields }), parse(image))
  })

  test('config and layers come in the order of the manifest, repeated ones too', () => {
    const layers = [5, 4, 5, 3].map((seed) => descriptor(seed))
    const manifest = parse({ ...image, layers })
    assert.deepEqual(digests(manifest.blobs), [1, 5, 4, 5, 3].map(digest))
  })

  for (const layers of [undefined, null, []]) {
    test(`layers may be ${JSON.stringify(layers)}`, () => {
      assert.deepEqual(digests(parse({ ...image, layers }).blobs), [digest(1)])
    })
  }

  test('layers of a type that may be elsewhere are not needed', () => {
    const manifest = parse({ ...image, layers: [descriptor(2), descriptor(9, foreignType)] })
    assert.deepEqual(digests(manifest.blobs), [digest(1), digest(2)])
    assert.deepEqual(digests(manifest.optionalBlobs), [digest(9)])
  })

  test("BuildKit's cache index lists layers and a config: they are blobs, not manifests", () => {
    const config = descriptor(7, 'application/vnd.buildkit.cacheconfig.v0')
    const manifest = parse({
      mediaType: ociIndex,
      manifests: [descriptor(5), descriptor(6, ociManifest), config],
    })
    assert.deepEqual(digests(manifest.blobs), [digest(5), digest(7)])
    assert.deepEqual(digests(manifest.manifests), [digest(6)])
  })

  test('an index in an index is a manifest', () => {
    const nested = parse({ manifests: [descriptor(5, ociIndex)] }, ociIndex)
    assert.deepEqual(digests(nested.manifests), [digest(5)])
  })

  test('the old artifact manifest has blobs and no config', () => {
    const manifest = parse({ mediaType: ociArtifact, blobs: [descriptor(5)] })
    assert.deepEqual(digests(manifest.blobs), [digest(5)])
    assert.deepEqual(parse({ mediaType: ociArtifact }).blobs, [])
  })

  test('an image of sha512 content is taken', () => {
    const config = { ...descriptor(1, ociConfig), digest: `sha512:${'1'.repeat(128)}` }
    assert.deepEqual(digests(parse({ ...image, config }).blobs), [config.digest, digest(2)])
  })

  test('a subject is kept, of an image and of an index', () => {
    for (const document of [image, index]) {
      const manifest = parse({ ...document, subject: descriptor(8, ociManifest) })
      assert.equal(manifest.subject?.digest, digest(8))
    }
    assert.equal(parse(image).subject, undefined)
  })

  test('annotations are kept, of any names', () => {
    const annotations = { 'org.example': 'x', '': '', ['__proto__']: 'y' }
    assert.deepEqual(parse({ ...image, annotations }).annotations, annotations)
    assert.equal(parse({ ...image, annotations: null }).annotations, undefined)
  })
})

describe('the artifact type', () => {
  const own = 'application/vnd.example.sbom.v1+json'
  const cases: [name: string, document: object, expected: string | undefined][] = [
    ['an image with its own', { ...image, artifactType: own }, own],
    ["an image without: its config's", image, ociConfig],
    ["an image with an empty one: its config's", { ...image, artifactType: '' }, ociConfig],
    ["an image with a senseless one: its config's", { ...image, artifactType: 7 }, ociConfig],
    ['an index with its own', { ...index, artifactType: own }, own],
    ['an index without: none', index, undefined],
    ['an index with a config: none', { ...index, config: descriptor(1, ociConfig) }, undefined],
    ['an artifact manifest', { mediaType: ociArtifact, artifactType: own }, own],
    ['an artifact manifest without: none', { mediaType: ociArtifact }, undefined],
  ]
  for (const [name, document, expected] of cases) {
    test(`of ${name}`, () => assert.equal(parse(document).artifactType, expected))
  }
})

test('what clients in Go write as null is absent', () => {
  const index = parse({ mediaType: ociIndex, manifests: null, subject: null, annotations: null })
  assert.deepEqual(index.manifests, [])
  assert.equal(index.subject, undefined)
  assert.deepEqual(parse({ ...image, layers: null }).blobs.length, 1)
})

describe('an error names the place', () => {
  const bad = { mediaType: layerType, digest: 'sha256:abc', size: 1 }
  const cases: [document: object, problem: RegExp][] = [
    [{ ...image, config: bad }, /: config has no valid sha256/],
    [{ mediaType: ociManifest, layers: [] }, /: config is not a descriptor object/],
    [{ ...image, layers: [descriptor(2), bad] }, /: layers\[1\] has no valid sha256/],
    [
      { ...image, layers: [descriptor(2), { ...bad, mediaType: foreignType }] },
      /: layers\[1\] has/,
    ],
    [{ ...image, layers: {} }, /"layers" is not a list/],
    [{ manifests: [descriptor(3, ociManifest), descriptor(4), bad] }, /: manifests\[2\] has no/],
    [{ mediaType: ociIndex }, /"manifests" is not a list/],
    [{ mediaType: ociIndex, manifests: [null] }, /: manifests\[0\] is not a descriptor/],
    [{ mediaType: ociArtifact, blobs: [bad] }, /: blobs\[0\] has no valid sha256/],
    [{ ...image, subject: bad }, /: subject has no valid sha256/],
    [{ ...image, annotations: [] }, /"annotations" is not an object/],
    [{ ...image, annotations: { key: 1 } }, /annotation "key" is not a string/],
  ]
  for (const [document, problem] of cases) {
    test(problem.source, () => assertInvalid(() => parse(document), problem))
  }

  const texts: [name: string, bytes: Uint8Array][] = [
    ['nothing', Buffer.alloc(0)],
    ['half a document', Buffer.from('{"schemaVersion":2')],
    ['what is not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['two documents', Buffer.from('{}{}')],
  ]
  for (const [name, bytes] of texts) {
    test(`${name} is not JSON`, () => {
      assertInvalid(() => parseManifest(bytes, ociManifest), /not JSON in UTF-8/)
    })
  }
  for (const text of ['null', '[]', '"text"', '1']) {
    test(`${text} is no object`, () => {
      assertInvalid(() => parseManifest(Buffer.from(text), ociManifest), /not a JSON object/)
    })
  }
})

describe('whatever is pushed', () => {
  const contentType = fc.constantFrom(...Object.values(mediaTypes), undefined, '', 'text/html')

  function assertParsedOrInvalid(bytes: Uint8Array, contentType: string | undefined): void {
    let manifest
    try {
      manifest = parseManifest(bytes, contentType)
    } catch (error) {
      assert.ok(error instanceof OciError, `not an OciError: ${String(error)}`)
      assert.equal(error.code, 'MANIFEST_INVALID')
      return
    }
    assert.ok(isManifestMediaType(manifest.mediaType))
    const { blobs, optionalBlobs, manifests } = manifest
    for (const { digest } of [...blobs, ...optionalBlobs, ...manifests]) assert.ok(isDigest(digest))
  }

  test('a media type that is an object is refused, not tripped over', () => {
    const odd = { mediaType: { toString: [] } }
    assertInvalid(() => parse({ manifests: [odd] }), /manifests\[0\] has no mediaType/)
    assertInvalid(() => parse({ config: odd }), /config has no mediaType/)
  })

  test('any bytes are a manifest or MANIFEST_INVALID', () => {
    fc.assert(fc.property(fc.uint8Array(), contentType, assertParsedOrInvalid))
  })

  test('any document is a manifest or MANIFEST_INVALID', () => {
    // Objects whose keys are those that every object has are the ones that surprise.
    const key = fc.constantFrom('toString', 'valueOf', 'constructor', 'mediaType', 'digest')
    const odd = fc.oneof(fc.dictionary(key, fc.jsonValue({ maxDepth: 1 })), fc.jsonValue())
    const child = fc.oneof(
      fc.constant(descriptor(1)),
      fc.constant(descriptor(1, ociManifest)),
      fc.record({ mediaType: odd, digest: odd, size: odd }, { requiredKeys: [] }),
      odd,
    )
    const children = fc.oneof(fc.array(child, { maxLength: 3 }), odd)
    const document = fc.record(
      {
        schemaVersion: fc.oneof(fc.constantFrom(1, 2), odd),
        mediaType: fc.oneof(fc.constantFrom(...Object.values(mediaTypes)), odd),
        artifactType: odd,
        config: child,
        layers: children,
        blobs: children,
        manifests: children,
        subject: child,
        annotations: odd,
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(document, contentType, (document, contentType) =>
        assertParsedOrInvalid(Buffer.from(JSON.stringify(document)), contentType),
      ),
      { numRuns: 2_000 },
    )
  })
})
