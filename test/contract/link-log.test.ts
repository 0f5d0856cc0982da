// The file of links: what is told is read back in its order, whatever a crash or a bad disk made of a line.

import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
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
