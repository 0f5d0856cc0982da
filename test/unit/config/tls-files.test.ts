import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkAuthorities, checkTlsFiles, expiryWarning } from '../../../src/config/tls-files.ts'
import { certificate, foreignKey, privateKey } from './tls-pair.ts'

const names = { certFile: 'a.crt', keyFile: 'a.key' }

const cases: [what: string, cert: string, key: string, problem: RegExp][] = [
  ['no certificate', 'hello', privateKey, /^a\.crt holds no certificate/],
  ['no private key', certificate, 'hello', /^a\.key holds no private key/],
  ['them swapped', privateKey, certificate, /^a\.crt holds no certificate/],
  ['a key of another pair', certificate, foreignKey, /a\.key does not belong to .* a\.crt/],
]

for (const [what, cert, key, problem] of cases) {
  test(`a pair with ${what} is refused`, () => {
    assert.match(checkTlsFiles({ ...names, cert, key }) ?? '', problem)
  })
}

test('a certificate and its key are accepted', () => {
  assert.equal(checkTlsFiles({ ...names, cert: certificate, key: privateKey }), undefined)
})

describe('a file of authorities', () => {
  const broken = certificate.replace('MIIB', 'MIIC')
  const cases: [what: string, pem: string, problem: string | undefined][] = [
    ['is accepted with one certificate', certificate, undefined],
    ['is accepted with comments in it', `# ours\n${certificate}\nText\n${certificate}`, undefined],
    ['is refused without any', 'hello', 'ca.crt holds no certificate in PEM form'],
    ['is refused with a key only', privateKey, 'ca.crt holds no certificate in PEM form'],
    [
      'is refused with a broken one',
      certificate + broken,
      'certificate 2 of ca.crt cannot be read',
    ],
    ['is refused cut short', certificate.slice(0, 200), 'certificate 1 of ca.crt cannot be read'],
  ]
  for (const [what, pem, problem] of cases) {
    test(what, () => assert.equal(checkAuthorities('ca.crt', pem), problem))
  }
})

test('a certificate out of its time is warned of', () => {
  const files = { ...names, cert: certificate, key: privateKey }
  assert.equal(expiryWarning(files, new Date('2100-01-01')), undefined)
  assert.match(expiryWarning(files, new Date('2200-01-01')) ?? '', /a\.crt expired on 21/)
  assert.match(expiryWarning(files, new Date('2000-01-01')) ?? '', /not valid before 20/)
})
