import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { nextPage, parseNextLink } from '../../../src/upstream/pagination.ts'
import { fakeResponse } from '../../support/fake-send.ts'

describe('the next link', () => {
  const cases: [what: string, header: string, target: string | undefined][] = [
    ['as registries send it', '</v2/_catalog?last=b&n=2>; rel="next"', '/v2/_catalog?last=b&n=2'],
    ['without quotes', '</x>; rel=next', '/x'],
    ['without blanks', '</x>;rel=next', '/x'],
    ['among other relations', '</x>; rel="prev next"', '/x'],
    ['after another link', '</a>; rel="first", </b>; rel="next"', '/b'],
    ['after another parameter', '</a>; title="a, <b>; rel=x"; rel=next', '/a'],
    ['with commas in the target', '</a?x=1,2>; rel=next', '/a?x=1,2'],
    ['that is absent', '</a>; rel="prev"', undefined],
    ['in no header', '', undefined],
    ['in a header that makes no sense', 'next', undefined],
  ]
  for (const [what, header, target] of cases) {
    test(what, () => assert.equal(parseNextLink(header), target))
  }

  test('is looked for in any text without an error', () => {
    const near = fc.string({ unit: fc.constantFrom(...'<>;= "relnxt,\\'.split('')), maxLength: 80 })
    fc.assert(fc.property(near, (text) => void parseNextLink(text)))
  })
})

describe('the next page', () => {
  const url = new URL('https://r.example/v2/_catalog?n=2')
  const next = (link: string) =>
    nextPage(fakeResponse(url, { headers: { link: `<${link}>; rel="next"` } }))

  test('may be given by path, by query or by URL', () => {
    assert.equal(next('/v2/_catalog?last=a'), '/v2/_catalog?last=a')
    assert.equal(next('?last=a'), '/v2/_catalog?last=a')
    assert.equal(next('https://r.example/v2/_catalog?last=a'), '/v2/_catalog?last=a')
  })

  test('stays on this origin though the registry takes itself for plain http', () => {
    assert.equal(next('http://r.example/v2/_catalog?last=a'), '/v2/_catalog?last=a')
  })

  test('is never on another host', () => {
    assert.throws(() => next('https://evil.example/v2/_catalog'), /another host/)
    assert.throws(() => next('//evil.example/v2/_catalog'), /another host/)
    assert.throws(() => next('file:///etc/passwd'), /another host/)
  })

  test('is not the same page', () => {
    assert.throws(() => next('/v2/_catalog?n=2'), /circle/)
  })
})
