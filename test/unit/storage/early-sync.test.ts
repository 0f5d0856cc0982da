import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { EarlySyncs } from '../../../src/storage/filesystem/early-sync.ts'

/** A file whose syncs end when, and as, the test says. */
function openFile() {
  const syncs: PromiseWithResolvers<void>[] = []
  const file = {
    datasync: () => {
      const sync = Promise.withResolvers<void>()
      syncs.push(sync)
      return sync.promise
    },
  }
  return { file, syncs }
}

const lost = new Error('EIO')
/** Long enough for what was told to be heard. */
const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

describe('a file that is synced while more of it arrives', () => {
  test('is synced after so many bytes, once at a time', async () => {
    const { file, syncs } = openFile()
    const sync = new EarlySyncs({ syncBytes: 100, syncsAtOnce: 8 }).of(file)
    sync.wrote(99)
    assert.equal(syncs.length, 0)
    sync.wrote(1)
    sync.wrote(500)
    assert.equal(syncs.length, 1)
    syncs[0]?.resolve()
    await settle()
    sync.wrote(1)
    assert.equal(syncs.length, 2)
  })

  test('waits for a sync that runs before the last one', async () => {
    const { file, syncs } = openFile()
    const sync = new EarlySyncs({ syncBytes: 100, syncsAtOnce: 8 }).of(file)
    sync.wrote(100)
    let isDone = false
    const finished = sync.finish().then(() => (isDone = true))
    await settle()
    assert.equal(isDone, false)
    syncs[0]?.resolve()
    await finished
  })

  // The system tells of lost bytes once: the sync after that succeeds.
  test('has failed when one of its syncs failed', async () => {
    const { file, syncs } = openFile()
    const syncsOfAll = new EarlySyncs({ syncBytes: 100, syncsAtOnce: 8 })
    const early = syncsOfAll.of(file)
    early.wrote(100)
    syncs[0]?.reject(lost)
    await settle()
    assert.throws(() => early.wrote(1), lost)
    await assert.rejects(early.finish(), lost)

    const late = syncsOfAll.of(file)
    late.wrote(100)
    syncs[1]?.reject(lost)
    await assert.rejects(late.finish(), lost)
  })

  test('goes on without when enough others are being synced', async () => {
    const { file, syncs } = openFile()
    const syncsOfAll = new EarlySyncs({ syncBytes: 100, syncsAtOnce: 1 })
    const [first, second] = [syncsOfAll.of(file), syncsOfAll.of(file)]
    first.wrote(100)
    second.wrote(100)
    await second.finish()
    assert.equal(syncs.length, 1)
    syncs[0]?.resolve()
    await settle()
    second.wrote(1)
    assert.equal(syncs.length, 2)
  })
})
