import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseImageList } from '../../../src/cli/image-list.ts'

const id = `sha256:${'0a'.repeat(32)}`

describe('a list of images', () => {
  const cases: [what: string, text: string, names: string[]][] = [
    ['has one name in a line', 'a\nb:1\n', ['a', 'b:1']],
    ['may have comments and empty lines', '# all\n\n  a # one\n#b\n\tc\r\n', ['a', 'c']],
    ['may have several names in a line', 'a b\tc  d\n', ['a', 'b', 'c', 'd']],
    ['has each name once', 'b a b\na', ['b', 'a']],
    ['keeps a name whole', 'h:5000/a/b:1@sha256:12', ['h:5000/a/b:1@sha256:12']],
    ['has no IDs, which say nothing of a registry', `a ${id} b`, ['a', 'b']],
    ['may be empty', ' \n#\n', []],
  ]
  for (const [what, text, names] of cases) {
    test(what, () => assert.deepEqual(parseImageList(text), names))
  }

  test('may be what jsonpath={..image} prints, with image volumes among the names', () => {
    const volume = '{"pullPolicy":"IfNotPresent","reference":"quay.io/data:1"}'
    assert.deepEqual(parseImageList(`a ${volume} ${id} b`), ['a', 'quay.io/data:1', 'b'])
    assert.deepEqual(parseImageList(`${volume} a`), ['quay.io/data:1', 'a'])
  })
})

describe('pods as JSON', () => {
  const pod = {
    kind: 'Pod',
    metadata: { annotations: { containers: [{ image: 'annotation' }] } },
    spec: {
      containers: [{ image: 'app' }, { image: 'sidecar' }, {}],
      initContainers: [{ image: 'init' }],
      ephemeralContainers: [{ image: 'debug' }],
      volumes: [{ image: { reference: 'volume' } }, { emptyDir: {} }, { image: {} }],
    },
    status: { containerStatuses: [{ image: 'resolved' }], containers: [{ image: 'no' }] },
  }
  const names = ['app', 'sidecar', 'init', 'debug', 'volume']

  test('have their images in all kinds of containers and in image volumes', () => {
    assert.deepEqual(parseImageList(JSON.stringify(pod)), names)
  })

  test('may be a list', () => {
    const other = { spec: { containers: [{ image: 'app' }, { image: 'other' }] } }
    const list = { kind: 'List', items: [pod, other] }
    assert.deepEqual(parseImageList(JSON.stringify(list, undefined, 2)), [...names, 'other'])
    assert.deepEqual(parseImageList(`\n${JSON.stringify([pod])}`), names)
  })

  test('may be templates of workloads', () => {
    const job = { spec: { jobTemplate: { spec: { template: { spec: pod.spec } } } } }
    assert.deepEqual(parseImageList(JSON.stringify(job)), names)
  })

  test('may have none', () => {
    assert.deepEqual(parseImageList('{"kind":"List","items":[]}'), [])
    assert.deepEqual(parseImageList('{"spec":{"containers":"all","volumes":[7]}}'), [])
  })
})
