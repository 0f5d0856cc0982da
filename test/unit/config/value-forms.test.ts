import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { parseAddressRange, toBlockList } from '../../../src/config/address-range.ts'
import { parseByteSize } from '../../../src/config/byte-size.ts'
import { formatDuration, parseDuration } from '../../../src/config/duration.ts'
import { formatHostPort, parseBindAddress, parseHostPort } from '../../../src/config/host-port.ts'
import { InvalidSetting } from '../../../src/config/invalid-setting.ts'
import { parseOrigin } from '../../../src/config/origin.ts'
import { parseHostPattern, parseRegistrySetting } from '../../../src/config/registry-host.ts'

type Case<T> = [text: string, value: T]

function accepts<T>(parse: (text: string) => T, cases: readonly Case<T>[]): void {
  for (const [text, value] of cases) {
    test(`"${text}" is read`, () => assert.deepEqual(parse(text), value))
  }
}

function refuses(parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts) {
    test(`"${text}" is refused`, () => assert.throws(() => parse(text), InvalidSetting))
  }
}

describe('an address to listen on', () => {
  accepts(
    (text) => formatHostPort(parseBindAddress(text)),
    [
      ['0.0.0.0', '0.0.0.0:8000'],
      ['127.0.0.1:5000', '127.0.0.1:5000'],
      ['[::]:8000', '[::]:8000'],
      ['[::1]', '[::1]:8000'],
      ['::', '[::]:8000'],
      ['fe80::1%eth0', '[fe80::1%eth0]:8000'],
      ['localhost:0', 'localhost:0'],
      ['Registry.Example.com', 'registry.example.com:8000'],
      ['my_host:65535', 'my_host:65535'],
    ],
  )
  refuses(parseBindAddress, [
    '',
    '8000',
    ':8000',
    '1.2.3:80',
    '1.2.3.400',
    'host:',
    'host:65536',
    'host:-1',
    '[::1]8000',
    '[1.2.3.4]:8000',
    '[::1',
    'http://host:8000',
    'host/path',
    'two words',
    '-host',
  ])
  test('a port alone is answered with the address that was meant', () => {
    assert.throws(() => parseBindAddress('8000'), /for all addresses write "\[::\]:8000"/)
  })
  test('a scheme is named as what is too much', () => {
    assert.throws(() => parseHostPort('https://ghcr.io'), /without "https:\/\/"/)
  })
})

describe('a duration', () => {
  accepts(parseDuration, [
    ['30s', 30],
    ['15m', 900],
    ['24h', 86_400],
    ['7d', 604_800],
    ['1h30m', 5_400],
    ['1.5h', 5_400],
    ['1H 30M', 5_400],
    ['500ms', 0.5],
    ['0s', 0],
  ])
  refuses(parseDuration, ['', '24', 'h', '24 hours', '-1h', '1h!', '1y'])
  test('what is written is read as the same length', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 9 }), (milliseconds) => {
        const seconds = milliseconds / 1000
        assert.ok(Math.abs(parseDuration(formatDuration(seconds)) - seconds) < 1e-6)
      }),
    )
  })
  test('a day is written as 24h', () => assert.equal(formatDuration(86_400), '24h'))
})

describe('an amount of bytes', () => {
  accepts(parseByteSize, [
    ['1234', 1234],
    ['1b', 1],
    ['50GB', 50e9],
    ['50 gb', 50e9],
    ['50GiB', 50 * 2 ** 30],
    ['1.5 TiB', 1.5 * 2 ** 40],
    [' 12.34   Kilobytes ', 12_340],
    ['2 Gibibytes', 2 ** 31],
    ['.5 PB', 5e14],
  ])
  refuses(parseByteSize, [
    '',
    'GB',
    '5 bananas',
    '12..3 MB',
    '-5 MB',
    '0',
    '5G',
    '1 EiB GB',
    '1e40',
  ])
  test('a number without a unit is bytes', () => assert.equal(parseByteSize(4096), 4096))
})

describe('an address range', () => {
  accepts(parseAddressRange as (text: string) => string, [
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['192.0.2.7', '192.0.2.7/32'],
    ['fd00::/8', 'fd00::/8'],
    ['::1', '::1/128'],
    ['0.0.0.0/0', '0.0.0.0/0'],
  ])
  refuses(parseAddressRange, [
    '',
    '10.0.0.0/33',
    '10.0.0/8',
    '::/129',
    '10.0.0.0/',
    'host',
    '1.2.3.4/8/8',
  ])
  test('addresses are found in either notation', () => {
    const list = toBlockList(['10.0.0.0/8', 'fd00::/8'].map(parseAddressRange))
    assert.ok(list.check('10.1.2.3'))
    assert.ok(list.check('::ffff:10.1.2.3', 'ipv6'))
    assert.ok(list.check('fd12::1', 'ipv6'))
    assert.ok(!list.check('11.0.0.1'))
    assert.ok(!list.check('2001:db8::1', 'ipv6'))
  })
})

describe('another registry', () => {
  accepts(parseRegistrySetting as (text: string) => string, [
    ['GHCR.io', 'ghcr.io'],
    ['registry.example.com:5000', 'registry.example.com:5000'],
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['registry-1.docker.io', 'docker.io'],
    ['registry.hub.docker.com', 'docker.io'],
    ['10.0.0.1:5000', '10.0.0.1:5000'],
    ['::1', '[::1]'],
    ['[::1]:5000', '[::1]:5000'],
  ])
  refuses(parseRegistrySetting, [
    '',
    'https://ghcr.io',
    'ghcr.io/team',
    'ghcr.io:0',
    'ghcr.io:',
    'fe80::1%eth0',
    'a..b',
    'user@ghcr.io',
    '*.example.com',
  ])
})

describe('a pattern of registries', () => {
  accepts(parseHostPattern, [
    ['ghcr.io', 'ghcr.io'],
    ['index.docker.io', 'docker.io'],
    ['*.Example.com', '*.example.com'],
    ['*.example.com:5000', '*.example.com:5000'],
    ['*.index.docker.io', '*.index.docker.io'],
  ])
  refuses(parseHostPattern, [
    '*',
    '*.',
    '*example.com',
    'a.*.com',
    '*.*.com',
    '**.com',
    '*.10.0.0.1',
    '*.[::1]',
    'https://*.example.com',
    '*.example.com/team',
  ])
  test('that means everything is answered with what to write', () => {
    assert.throws(() => parseHostPattern('*'), /write true/)
  })
})

describe('an origin', () => {
  accepts(parseOrigin, [
    ['*', '*'],
    ['https://ui.example.com', 'https://ui.example.com'],
    ['https://UI.example.com/', 'https://ui.example.com'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['https://ui.example.com:443', 'https://ui.example.com'],
  ])
  refuses(parseOrigin, [
    '',
    'ui.example.com',
    'https://x/y',
    'https://x?q',
    'ftp://x',
    'https://u:p@x',
    'null',
  ])
})
