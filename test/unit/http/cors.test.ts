// CORS headers: which origin gets what, and never credentials for everyone.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cors } from '../../../src/http/cors.ts'

const page = 'https://ui.example'

function asked(origin: string): Record<string, string> {
  return { origin, 'access-control-request-method': 'PUT' }
}

test('without origins there are no headers and no preflight', () => {
  const cors = new Cors([])
  assert.deepEqual(cors.headers({ origin: page }), {})
  assert.equal(cors.preflight('OPTIONS', asked(page)), undefined)
})

test('a named origin is repeated and may send credentials', () => {
  const headers = new Cors([page]).headers({ origin: page })
  assert.equal(headers['Access-Control-Allow-Origin'], page)
  assert.equal(headers['Access-Control-Allow-Credentials'], 'true')
  assert.equal(headers['Vary'], 'Origin')
})

test('a page can read the headers of the protocol', () => {
  const exposed = new Cors([page]).headers({ origin: page })['Access-Control-Expose-Headers'] ?? ''
  const names = exposed.split(', ')
  for (const name of ['Docker-Content-Digest', 'Link', 'Location', 'Range', 'WWW-Authenticate']) {
    assert.ok(names.includes(name), name)
  }
})

for (const origin of [
  'https://evil.example',
  'null',
  'https://ui.example.evil',
  'http://ui.example',
]) {
  test(`the origin ${origin} is not taken for ${page}`, () => {
    const cors = new Cors([page])
    assert.deepEqual(cors.headers({ origin }), { Vary: 'Origin' })
    const preflight = cors.preflight('OPTIONS', asked(origin)) ?? {}
    assert.deepEqual(Object.keys(preflight), ['Vary'])
  })
}

test('an answer without an Origin says that it depends on it', () => {
  assert.deepEqual(new Cors([page]).headers({}), { Vary: 'Origin' })
})

test('* allows every origin, never with credentials', () => {
  for (const origin of [page, 'null', '*']) {
    const cors = new Cors(['*'])
    for (const headers of [cors.headers({ origin }), cors.preflight('OPTIONS', asked(origin))]) {
      assert.equal(headers?.['Access-Control-Allow-Origin'], '*')
      assert.equal(headers?.['Access-Control-Allow-Credentials'], undefined)
    }
  }
})

test('a named origin beside * keeps its credentials', () => {
  const cors = new Cors(['*', page])
  assert.equal(cors.headers({ origin: page })['Access-Control-Allow-Origin'], page)
  assert.equal(cors.headers({ origin: page })['Access-Control-Allow-Credentials'], 'true')
  assert.equal(cors.headers({ origin: 'https://x.example' })['Access-Control-Allow-Origin'], '*')
})

test('a preflight is told methods, headers and for how long', () => {
  const headers = new Cors([page]).preflight('OPTIONS', asked(page)) ?? {}
  assert.equal(
    headers['Access-Control-Allow-Methods'],
    'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
  )
  const allowed = headers['Access-Control-Allow-Headers']?.split(', ') ?? []
  for (const name of ['Authorization', 'Content-Type', 'Accept', 'Content-Range', 'Range']) {
    assert.ok(allowed.includes(name), name)
  }
  assert.equal(headers['Access-Control-Max-Age'], '86400')
  assert.match(headers['Vary'] ?? '', /Access-Control-Request-Method/)
})

test('only an OPTIONS request with an origin and a wanted method is a preflight', () => {
  const cors = new Cors([page])
  assert.equal(cors.preflight('GET', asked(page)), undefined)
  assert.equal(cors.preflight('OPTIONS', { origin: page }), undefined)
  assert.equal(cors.preflight('OPTIONS', { 'access-control-request-method': 'GET' }), undefined)
})
