// What a chunk's headers must say before its first byte is taken (specification, "Pushing a blob in
// chunks"), and what a refusal tells the client so that it can go on.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OciError } from '../../../src/oci/errors.ts'
import { parseRepositoryName } from '../../../src/oci/repository-name.ts'
import type { UploadRecord } from '../../../src/registry/ports/records.ts'
import type { UploadId } from '../../../src/registry/ports/upload-store.ts'
import {
  checkChunk,
  type Chunk,
  uploadLocation,
  uploadRange,
} from '../../../src/registry/upload-session.ts'

const upload: UploadRecord = {
  id: '11111111-2222-3333-4444-555555555555' as UploadId,
  repository: parseRepositoryName('a/b'),
  algorithm: 'sha256',
  offset: 10,
  updatedAt: 0,
}

function chunk(headers: Omit<Chunk, 'bytes'>): Chunk {
  return {
    bytes: {
      [Symbol.asyncIterator]: () => {
        throw new Error('no byte may be taken before the headers are checked')
      },
    },
    ...headers,
  }
}

const accepted: [name: string, headers: Omit<Chunk, 'bytes'>][] = [
  ['without any header', {}],
  ['with a length alone', { length: 5 }],
  ['that continues where the session is', { range: { start: 10, endInclusive: 14 } }],
  ['whose length is that of its range', { length: 5, range: { start: 10, endInclusive: 14 } }],
  ['of one byte', { length: 1, range: { start: 10, endInclusive: 10 } }],
]

for (const [name, headers] of accepted) {
  test(`a chunk ${name} is taken`, () => checkChunk(upload, chunk(headers)))
}

const refused: [name: string, headers: Omit<Chunk, 'bytes'>, code: string, status: number][] = [
  ['that starts before', { range: { start: 9, endInclusive: 14 } }, 'RANGE_INVALID', 416],
  ['that leaves a gap', { range: { start: 11, endInclusive: 14 } }, 'RANGE_INVALID', 416],
  ['that begins anew', { range: { start: 0, endInclusive: 9 } }, 'RANGE_INVALID', 416],
  [
    'shorter than its range',
    { length: 4, range: { start: 10, endInclusive: 14 } },
    'SIZE_INVALID',
    400,
  ],
  [
    'longer than its range',
    { length: 6, range: { start: 10, endInclusive: 14 } },
    'SIZE_INVALID',
    400,
  ],
]

for (const [name, headers, code, status] of refused) {
  test(`a chunk ${name} is refused`, () => {
    assert.throws(() => checkChunk(upload, chunk(headers)), { name: 'OciError', code, status })
  })
}

test('a chunk out of order is told where the session is', () => {
  assert.throws(
    () => checkChunk(upload, chunk({ range: { start: 11, endInclusive: 14 } })),
    (error) => {
      assert.ok(error instanceof OciError)
      assert.deepEqual(error.headers, {
        Location: `/v2/a/b/blobs/uploads/${upload.id}`,
        Range: '0-9',
        'Docker-Upload-UUID': upload.id,
      })
      assert.match(error.message, /starts at byte 11 .* continues at byte 10/)
      return true
    },
  )
})

for (const [offset, range] of [
  [0, '0-0'],
  [1, '0-0'],
  [2, '0-1'],
  [1_000_000, '0-999999'],
] as const) {
  test(`a session of ${offset} bytes has the range ${range}`, () => {
    assert.equal(uploadRange(offset), range)
  })
}

test('the location names the repository and the session', () => {
  assert.equal(uploadLocation(parseRepositoryName('x/y/z'), 'id'), '/v2/x/y/z/blobs/uploads/id')
})
