import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { makeLogger, setLogLevel } from '../../../src/telemetry/logger.ts'
import type { LogLevel } from '../../../src/config/config.ts'

function recorder(level: LogLevel = 'info') {
  const lines: string[] = []
  const log = makeLogger(level, { write: (line: string) => void lines.push(line) })
  const last = () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown>
  return { log, lines, last }
}

test('a line is JSON with the level by name and the time in ISO form', () => {
  const { log, last } = recorder()
  log.info({ repository: 'a/b' }, 'pushed')
  const { time, ...rest } = last()
  assert.deepEqual(rest, { level: 'info', repository: 'a/b', msg: 'pushed' })
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('the level can be changed while running', () => {
  const { log, lines } = recorder('off')
  log.fatal({}, 'no')
  setLogLevel(log, 'debug')
  log.debug({}, 'yes')
  assert.equal(lines.length, 1)
})

describe('secrets are not written', () => {
  const cases: object[] = [
    { password: 'hunter2' },
    { authorization: 'Basic hunter2' },
    { headers: { Authorization: 'Basic hunter2', cookie: ['hunter2'] } },
    { a: { b: { accessToken: 'hunter2' } } },
    { headers: Object.assign(Object.create(null), { 'set-cookie': ['hunter2'] }) as object },
    { err: Object.assign(new Error('x'), { config: { auth: 'hunter2' } }) },
  ]
  for (const fields of cases) {
    test(`in ${Object.keys(fields).join()}: ${JSON.stringify(fields)}`, () => {
      const { log, lines } = recorder()
      log.info(fields, 'x')
      assert.doesNotMatch(lines.join(), /hunter2/)
    })
  }
  test('and what the caller passed is not changed', () => {
    const fields = { headers: { authorization: 'hunter2' } }
    recorder().log.info(fields, 'x')
    assert.equal(fields.headers.authorization, 'hunter2')
  })
  test('while numbers under such a name are', () => {
    const { log, last } = recorder()
    log.info({ tokenTtlSeconds: 60 }, 'x')
    assert.equal(last()['tokenTtlSeconds'], 60)
  })
})

test('an error is written with its causes', () => {
  const { log, last } = recorder()
  const cause = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  log.error({ err: new Error('not stored', { cause }) }, 'x')
  const err = last()['err'] as { message: string; cause: Record<string, unknown> }
  assert.equal(err.message, 'not stored')
  assert.equal(err.cause['message'], 'no space')
  assert.equal(err.cause['code'], 'ENOSPC')
  assert.match(String(err.cause['stack']), /logger\.test/)
})

test('an error that is its own cause ends', () => {
  const { log, lines } = recorder()
  const error = new Error('round')
  error.cause = error
  log.error({ err: error }, 'x')
  assert.equal(lines.length, 1)
})
