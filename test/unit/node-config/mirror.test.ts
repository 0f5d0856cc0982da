import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { InvalidSetting } from '../../../src/config/invalid-setting.ts'
import { parseMirror } from '../../../src/node-config/mirror.ts'

describe('a mirror', () => {
  const environment = {
    HOST_IP: '10.1.2.3',
    HOST_IP6: 'fd00::7',
    HOST_IPS: 'fd00::7,10.1.2.3',
    NO: '',
  }
  const cases: [text: string, url: string][] = [
    ['http://10.0.0.1:30500', 'http://10.0.0.1:30500'],
    ['http://trow.example.com:8000/', 'http://trow.example.com:8000'],
    ['HTTPS://Trow.Example.com', 'https://trow.example.com'],
    ['http://[fd00::1]:30500', 'http://[fd00::1]:30500'],
    ['http://$(HOST_IP):30500', 'http://10.1.2.3:30500'],
    ['http://$(HOST_IP6):30500', 'http://[fd00::7]:30500'],
    ['http://$(HOST_IP6)', 'http://[fd00::7]'],
    ['http://$(HOST_IPS):8000', 'http://[fd00::7]:8000'],
    ['http://fd00::7:30500', 'http://[fd00::7]:30500'],
    ['http://::1:30500', 'http://[::1]:30500'],
  ]
  for (const [text, url] of cases) {
    test(`${text} is ${url}`, () => {
      const mirror = parseMirror(text, environment)
      assert.equal(mirror.url, url)
      assert.equal(mirror.isSecure, url.startsWith('https:'))
      assert.equal(mirror.url, `${mirror.isSecure ? 'https' : 'http'}://${mirror.authority}`)
    })
  }

  const wrong: [text: string, reason: RegExp][] = [
    ['10.0.0.1:30500', /expected http:/],
    ['ftp://trow:21', /expected http:/],
    ['http://trow/v2', /without a path/],
    ['http://user:password@trow', /without a path or a login/],
    ['http://$(ELSEWHERE):80', /\$\(ELSEWHERE\) is not in the environment/],
    ['http://$(NO):80', /\$\(NO\) is not in the environment/],
    ['http://fd00::1:8000', /needs brackets/],
    ['http://fd00::1', /needs brackets/],
    ['http://trow:99999', /not a port/],
    ['http://', /expected/],
  ]
  for (const [text, reason] of wrong) {
    test(`${text} is refused`, () => {
      assert.throws(
        () => parseMirror(text, environment),
        (error) => error instanceof InvalidSetting && reason.test(error.message),
      )
    })
  }
})
