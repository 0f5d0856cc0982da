// The file of links: what is told is read back in its order, whatever a crash or a bad disk made of a line.

import assert from 'node:assert/strict'
import { appendFile, type FileHandle, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { OpenFile } from '../../src/lib/open-file.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseReference } from '../../src/oci/reference.ts'
import { parseRepositoryName } from '../../src/oci/repository-name.ts'
import type { Link, LinkEntry } from '../../src/registry/ports/link-store.ts'
import { LinkLog } from '../../src/storage/filesystem/link-log.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const mediaType = 'application/vnd.oci.image.manifest.v1+json'

function linkOf(name: string): Link {
  const digest = digestOf(Buffer.from(name))
  return {
    repository: parseRepositoryName('a/b'),
    reference: parseReference(name),
    digest,
    mediaType,
  }
}

async function entriesOf(log: LinkLog): Promise<(LinkEntry | { damaged: string })[]> {
  return await Array.fromAsync(log.read())
}

async function* pages(...links: Link[]): AsyncGenerator<Link[]> {
  for (const link of links) yield [link]
}

const [one, two, three] = [linkOf('one'), linkOf('Two'), linkOf('three')]
const gone = { repository: one.repository, reference: one.reference }

test('what is told is read back in its order, by the next process too', async () => {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'links.log')
  {
    await using log = await LinkLog.open(path)
    await Promise.all([log.append([one, two]), log.append([gone])])
    assert.deepEqual(await entriesOf(log), [one, two, gone])
  }
  await using log = await LinkLog.open(path)
  await log.append([three])
  assert.deepEqual(await entriesOf(log), [one, two, gone, three])
})

test('a line that a crash cut short spoils no other one', async () => {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'links.log')
  {
    await using log = await LinkLog.open(path)
    await log.append([one, two])
  }
  const whole = await readFile(path, 'utf8')
  await writeFile(path, whole.slice(0, -20))
  await using log = await LinkLog.open(path)
  await log.append([three])
  const [first, torn, last] = await entriesOf(log)
  assert.deepEqual([first, last], [one, three])
  assert.ok(torn !== undefined && 'damaged' in torn)
})

/** Of every open file, until it is disposed of: half of what is appended arrives, and nothing can be cut off. */
async function breakFiles(path: string): Promise<AsyncDisposable> {
  const file = await open(path)
  const prototype = Object.getPrototypeOf(file) as FileHandle
  await file.close()
  const sound = Object.getOwnPropertyDescriptors(prototype)
  const error = (): Error => Object.assign(new Error('injected'), { code: 'EIO', syscall: 'write' })
  prototype.appendFile = async function half(text) {
    assert.ok(typeof text === 'string')
    await sound.appendFile.value?.call(this, text.slice(0, text.length >> 1))
    throw error()
  }
  prototype.truncate = () => Promise.reject(error())
  return {
    [Symbol.asyncDispose]: () => {
      Object.defineProperties(prototype, sound)
      return Promise.resolve()
    },
  }
}

test('half a line that cannot be taken back spoils no other one', async () => {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'links.log')
  await using log = await LinkLog.open(path)
  await log.append([one])
  {
    await using _broken = await breakFiles(path)
    for (let time = 0; time < 2; time += 1) {
      await assert.rejects(log.append([two]), { code: 'UNAVAILABLE' })
    }
  }
  await log.append([two])
  await log.append([three])
  const entries = await entriesOf(log)
  const whole = entries.filter((entry) => !('damaged' in entry))
  assert.deepEqual(whole, [one, two, three])
  assert.equal(log.bytes, (await readFile(path)).length)
  await log.replace(pages(one, two))
  assert.deepEqual(await entriesOf(log), [one, two])
})

test('what is told while all is told anew is there, although half a line is', async () => {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'links.log')
  await using log = await LinkLog.open(path)
  await log.append([one])
  async function* brokenOff(): AsyncGenerator<Link[]> {
    yield* pages(one)
    await using _broken = await breakFiles(path)
    await assert.rejects(log.append([two]))
  }
  await log.replace(brokenOff())
  await log.append([three])
  assert.deepEqual(await entriesOf(log), [one, three])
  assert.equal(log.bytes, (await readFile(path)).length)
})

test('what is told after the file took another one’s place is in that one', async (t) => {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'links.log')
  await using log = await LinkLog.open(path)
  await log.append([one])
  // Of the directory, after the rename.
  const sync = t.mock.method(OpenFile.prototype, 'sync')
  sync.mock.mockImplementation(() => Promise.reject(new Error('injected')))
  await assert.rejects(log.replace(pages(one, two)))
  await assert.rejects(log.append([three]), 'its name may be lost still')
  sync.mock.restore()
  await log.append([three])
  assert.deepEqual(await entriesOf(log), [one, two, three])
})

test('a line that is damaged is told, and not taken for another one', async () => {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'links.log')
  await using log = await LinkLog.open(path)
  await log.append([one, two])
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace('"one"', '"onf"'))
  await appendFile(path, 'rubbish\n')
  const [first, second, third] = await entriesOf(log)
  assert.ok(first !== undefined && 'damaged' in first)
  assert.deepEqual(second, two)
  assert.deepEqual(third, { damaged: 'rubbish' })
})

test('what is told while all is told anew counts after it', async () => {
  await using directory = await temporaryDirectory()
  const path = join(directory.path, 'links.log')
  await using log = await LinkLog.open(path)
  await log.append([one, two])
  async function* slowly(): AsyncGenerator<Link[]> {
    yield* pages(two)
    await log.append([three])
  }
  await log.replace(slowly())
  assert.deepEqual(await entriesOf(log), [two, three])
  await log.append([gone])
  assert.deepEqual(await entriesOf(log), [two, three, gone])
  assert.equal(log.bytes, (await readFile(path)).length)
})
