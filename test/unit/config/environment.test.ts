import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { levelFromRustLog, unknownVariables } from '../../../src/config/environment.ts'

describe('RUST_LOG', () => {
  const cases: [value: string, level: string | undefined][] = [
    ['', undefined],
    ['info', 'info'],
    ['DEBUG', 'debug'],
    ['off', 'off'],
    ['trow=debug', 'debug'],
    ['warn,trow=debug', 'debug'],
    ['trow=debug, warn', 'debug'],
    ['trow', 'trace'],
    ['warn,hyper=trace', 'warn'],
    ['hyper=trace', undefined],
    ['nonsense', undefined],
    ['trow=nonsense', undefined],
  ]
  for (const [value, level] of cases) {
    test(`"${value}" means ${level ?? 'nothing'}`, () => {
      assert.equal(levelFromRustLog(value), level)
    })
  }
})

describe('a variable that begins with TROW_', () => {
  const quiet = [
    'TROW_BIND',
    'TROW_IMAGE_VALIDATION_CONFIG_FILE',
    'TROW_SERVICE_HOST',
    'TROW_SERVICE_PORT',
    'TROW_SERVICE_PORT_HTTP',
    'TROW_PORT',
    'TROW_PORT_8000_TCP',
    'TROW_PORT_8000_TCP_ADDR',
    'TROW_PORT_8000_TCP_PORT',
    'TROW_PORT_53_UDP_PROTO',
    'TROW_WEBHOOK_SERVICE_HOST',
    'TROW_WEBHOOK_PORT_443_TCP',
    'TROW_ENV_PATH',
    'TROW_NAME',
  ]
  for (const name of quiet) {
    test(`is no cause for a warning: ${name}`, () => {
      assert.deepEqual(unknownVariables({ [name]: 'x' }), [])
    })
  }
  test('and is misspelt is warned of with the name that was meant', () => {
    assert.deepEqual(unknownVariables({ TROW_DATADIR: 'x', PATH: 'x' }), [
      'TROW_DATADIR is no setting of Trow and is ignored; did you mean TROW_DATA_DIR?',
    ])
  })
  const others: [name: string, value: string, meant: string][] = [
    ['TROW_PASSWORD_FILE', '/run/secrets/trow', 'TROW_PASSWORD=file://PATH'],
    ['TROW_PORT', '5000', 'TROW_BIND=[::]:PORT'],
  ]
  for (const [name, value, meant] of others) {
    test(`and is what other programs have is warned of with what Trow has: ${name}`, () => {
      assert.deepEqual(unknownVariables({ [name]: value }), [
        `${name} is no setting of Trow and is ignored; did you mean ${meant}?`,
      ])
    })
  }
  test('and is like nothing known is warned of as well', () => {
    assert.deepEqual(unknownVariables({ TROW_XYZZY_AND_MORE: 'x' }), [
      'TROW_XYZZY_AND_MORE is no setting of Trow and is ignored',
    ])
  })
})
