// The data directory: made, found again, owned by one process; and for everything that can be wrong
// with it one line that says what to do, with nothing touched.

import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { StartError } from '../../src/lib/start-error.ts'
import { DataDirectory } from '../../src/storage/filesystem/data-directory.ts'
import { openFilesUnder } from '../support/open-files.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const program = fileURLToPath(import.meta.resolve('../support/open-data-directory.ts'))
const isRoot = process.geteuid?.() === 0
const nobody = 65_534

interface Outcome {
  /** Of the process that holds the directory now. */
  readonly pid?: number
  readonly name?: string
  readonly message?: string
}

interface Holder extends AsyncDisposable {
  readonly outcome: Outcome
  readonly child: ChildProcess
}

/** Opens the directory in a process of its own, which holds it until it is disposed of. */
async function openElsewhere(path: string, uid?: number): Promise<Holder> {
  const more = uid === undefined ? [] : [String(uid)]
  const child = spawn(process.execPath, [program, path, ...more], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface(child.stdout)
  const [line] = (await once(lines, 'line')) as [string]
  return {
    child,
    outcome: JSON.parse(line) as Outcome,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

/** What `open` says, which has to be for an operator: no stack, no cause, one line. */
async function refusal(path: string): Promise<string> {
  try {
    await using _directory = await DataDirectory.open(path)
  } catch (error) {
    assert.ok(error instanceof StartError, String(error))
    assert.ok(!error.message.includes('\n'))
    return error.message
  }
  return assert.fail(`${path} was opened`)
}

describe('a data directory that can be used', () => {
  test('is made, with a place for all content', async () => {
    await using temporary = await temporaryDirectory()
    const path = join(temporary.path, 'data')
    {
      await using directory = await DataDirectory.open(path)
      assert.equal(directory.layout.root, path)
      for (const algorithm of ['sha256', 'sha512']) {
        const shards = await readdir(join(path, 'blobs', algorithm))
        assert.equal(shards.length, 256)
        assert.ok(shards.includes('00') && shards.includes('a7') && shards.includes('ff'))
      }
      assert.deepEqual(await readdir(join(path, 'uploads')), [])
      assert.deepEqual(JSON.parse(await readFile(join(path, 'format.json'), 'utf8')), { format: 1 })
      const owner = JSON.parse(await readFile(join(path, 'owner.json'), 'utf8')) as object
      assert.deepEqual({ ...owner, since: '' }, { pid: process.pid, host: hostname(), since: '' })
    }
    assert.deepEqual((await readdir(path)).toSorted(), [
      'blobs',
      'format.json',
      'lock',
      'quarantine',
      'uploads',
    ])
    assert.deepEqual(await openFilesUnder(path), [])
  })

  test('is found again with what it holds', async () => {
    await using temporary = await temporaryDirectory()
    await (await DataDirectory.open(temporary.path))[Symbol.asyncDispose]()
    const content = join(temporary.path, 'blobs/sha256/ab/content')
    await writeFile(content, 'x')
    await using _directory = await DataDirectory.open(temporary.path)
    assert.equal(await readFile(content, 'utf8'), 'x')
  })

  test('may be a fresh volume, with what the file system keeps there', async () => {
    await using temporary = await temporaryDirectory()
    const foreign = join(temporary.path, 'lost+found')
    await mkdir(foreign, { mode: 0 })
    await (await DataDirectory.open(temporary.path))[Symbol.asyncDispose]()
    await chmod(foreign, 0o700)
  })

  test('may be a link, or relative to the working directory', async () => {
    await using temporary = await temporaryDirectory()
    await mkdir(join(temporary.path, 'real'))
    await symlink('real', join(temporary.path, 'link'))
    const path = relative(process.cwd(), join(temporary.path, 'link'))
    await using directory = await DataDirectory.open(path)
    assert.equal(directory.layout.root, join(temporary.path, 'link'))
  })

  test('gets back directories that are missing', async () => {
    await using temporary = await temporaryDirectory()
    await (await DataDirectory.open(temporary.path))[Symbol.asyncDispose]()
    const lost = join(temporary.path, 'blobs/sha512/3c')
    await rm(lost, { recursive: true })
    await using _directory = await DataDirectory.open(temporary.path)
    assert.deepEqual(await readdir(lost), [])
  })
})

describe('a path that is no data directory', () => {
  test('below a directory that does not exist: the operator is told how to make it', async () => {
    await using temporary = await temporaryDirectory()
    const path = join(temporary.path, 'missing/data')
    const message = await refusal(path)
    assert.match(message, /the directory above it does not exist/)
    assert.ok(message.includes(`mkdir -p ${path} && chown ${ids()} ${path}`), message)
    assert.deepEqual(await readdir(temporary.path), [])
  })

  test('that is a file', async () => {
    await using temporary = await temporaryDirectory()
    const path = join(temporary.path, 'file')
    await writeFile(path, 'x')
    assert.match(await refusal(path), /file is not a directory/)
    assert.equal(await readFile(path, 'utf8'), 'x')
  })

  test('below a file', async () => {
    await using temporary = await temporaryDirectory()
    await writeFile(join(temporary.path, 'file'), 'x')
    assert.match(await refusal(join(temporary.path, 'file/data')), /cannot be used: ENOTDIR/)
  })
})

describe('a data directory of another version', () => {
  const formats: [name: string, text: string, problem: RegExp][] = [
    ['a newer format', '{"format":2}', /newer version of Trow \(format 2, .* up to 1\)/],
    ['a format with more in it', '{"format":99,"more":{}}', /newer version of Trow \(format 99/],
    ['an empty file', '', /format\.json is damaged/],
    ['half a file', '{"for', /format\.json is damaged/],
    ['no number', '{"format":"1"}', /format\.json is damaged/],
    ['half a number', '{"format":1.5}', /format\.json is damaged/],
    ['no object', 'null', /format\.json is damaged/],
  ]
  for (const [name, text, problem] of formats) {
    test(`whose format.json has ${name} is refused and left as it is`, async () => {
      await using temporary = await temporaryDirectory()
      await writeFile(join(temporary.path, 'format.json'), text)
      assert.match(await refusal(temporary.path), problem)
      assert.deepEqual(await readdir(temporary.path), ['format.json'])
      assert.equal(await readFile(join(temporary.path, 'format.json'), 'utf8'), text)
      assert.deepEqual(await openFilesUnder(temporary.path), [])
    })
  }

  test('that an older Trow wrote is refused and left as it is', async () => {
    await using temporary = await temporaryDirectory()
    await writeFile(join(temporary.path, 'trow.db'), 'old')
    assert.match(
      await refusal(temporary.path),
      /Trow 0\.10 or older .*trow\.db.*nothing was changed.*trow import \S+ --data-dir /,
    )
    assert.deepEqual(await readdir(temporary.path), ['trow.db'])
  })
})

describe('a data directory that may not be written', () => {
  /** As another user when this one is root, whom nothing is forbidden. */
  async function refusedAs(path: string): Promise<{ message: string; ids: string }> {
    if (!isRoot) return { message: await refusal(path), ids: ids() }
    await using holder = await openElsewhere(path, nobody)
    assert.equal(holder.outcome.name, 'StartError', JSON.stringify(holder.outcome))
    return { message: holder.outcome.message ?? '', ids: `${nobody}:${nobody}` }
  }

  function assertExplained(message: string, path: string, ids: string): void {
    const [uid, gid] = ids.split(':')
    assert.ok(message.includes(`${path} is not writable by uid ${uid}, gid ${gid};`), message)
    const owner = `it belongs to uid ${process.geteuid?.()}, gid ${process.getegid?.()}`
    assert.ok(message.includes(owner), message)
    assert.ok(message.endsWith(`run: chown -R ${ids} ${path}`), message)
  }

  test('names the user, the owner and the command', async () => {
    await using temporary = await temporaryDirectory()
    await chmod(temporary.path, 0o755)
    const path = join(temporary.path, 'data')
    await mkdir(path, { mode: 0o500 })
    await chmod(path, 0o555)
    const { message, ids } = await refusedAs(path)
    assertExplained(message, path, ids)
    assert.match(message, /mode 555/)
    assert.deepEqual(await readdir(path), [])
  })

  const skip = isRoot ? false : 'only root can give a directory away'
  test('names its user first, where that is somebody who can be', { skip }, async () => {
    await using temporary = await temporaryDirectory()
    await chmod(temporary.path, 0o755)
    await chown(temporary.path, 333_333, 333_333)
    const { message } = await refusedAs(temporary.path)
    const advice = `: run this as uid 333333, or run: chown -R 65534:65534 ${temporary.path}`
    assert.ok(message.endsWith(advice), message)
  })

  test('says so when it cannot even be made', async () => {
    await using temporary = await temporaryDirectory()
    await chmod(temporary.path, 0o555)
    const path = join(temporary.path, 'data')
    const { message, ids } = await refusedAs(path)
    const [uid, gid] = ids.split(':')
    assert.ok(message.includes(`above it is not writable by uid ${uid}, gid ${gid};`), message)
    assert.ok(message.endsWith(`mkdir -p ${path} && chown ${ids} ${path}`), message)
    await chmod(temporary.path, 0o755)
  })

  const files = ['lock', 'owner.json', 'blobs', 'uploads', 'blobs/sha512/7f', 'format.json']
  for (const file of files) {
    test(`says so when only ${file} belongs to another user`, { skip }, async () => {
      await using temporary = await temporaryDirectory()
      await (await DataDirectory.open(temporary.path))[Symbol.asyncDispose]()
      // As a process leaves it that is killed.
      await writeFile(join(temporary.path, 'owner.json'), '{}')
      const mine = join(temporary.path, file)
      for (const name of await readdir(temporary.path, { recursive: true })) {
        const path = join(temporary.path, name)
        if (path !== mine) await chown(path, nobody, nobody)
      }
      await chown(temporary.path, nobody, nobody)
      await chmod(mine, file.includes('.') ? 0o600 : 0o700)
      const { message } = await refusedAs(temporary.path)
      const problem = `is not writable by uid 65534, gid 65534; ${mine} belongs to uid 0, gid 0`
      assert.ok(message.includes(problem), message)
      assert.ok(message.endsWith(`run: chown -R 65534:65534 ${temporary.path}`), message)
    })
  }
})

const canMount = isRoot && process.platform === 'linux'

test(
  'a read-only volume is named as such',
  { skip: canMount ? false : 'only root can mount' },
  async (t) => {
    await using temporary = await temporaryDirectory()
    const run = promisify(execFile)
    const mounted = run('mount', ['-t', 'tmpfs', '-o', 'ro,size=1m', 'none', temporary.path])
    if (!(await mounted.then(Boolean, () => false))) {
      t.skip('this container may not mount')
      return
    }
    try {
      assert.match(
        await refusal(temporary.path),
        /on a read-only file system: mount the volume writ/,
      )
      const below = join(temporary.path, 'data')
      assert.match(await refusal(below), /on a read-only file system: mount the volume writ/)
    } finally {
      await run('umount', [temporary.path])
    }
  },
)

describe('a data directory in use', () => {
  test('by another process is refused, and the message names it', async () => {
    await using temporary = await temporaryDirectory()
    await using holder = await openElsewhere(temporary.path)
    assert.equal(holder.outcome.pid, holder.child.pid)
    const message = await refusal(temporary.path)
    assert.ok(
      message.includes(`in use by process ${holder.child.pid} on host ${hostname()}`),
      message,
    )
    assert.match(message, /stop that one first, or start with another --data-dir/)
    assert.deepEqual(await openFilesUnder(temporary.path), [])
    // The refused one must not have taken the holder's name away.
    assert.match(await refusal(temporary.path), /in use by process/)
  })

  test('by this process is refused, too, until it is given back', async () => {
    await using temporary = await temporaryDirectory()
    {
      await using _directory = await DataDirectory.open(temporary.path)
      assert.match(await refusal(temporary.path), new RegExp(`in use by process ${process.pid} `))
    }
    await using _directory = await DataDirectory.open(temporary.path)
  })

  test('by a holder that does not say who it is', async () => {
    await using temporary = await temporaryDirectory()
    await using _directory = await DataDirectory.open(temporary.path)
    for (const text of ['', 'null', '{"pid":']) {
      await writeFile(join(temporary.path, 'owner.json'), text)
      assert.match(await refusal(temporary.path), /in use by another process/)
    }
  })

  test('is free again when its holder ended, and when it was killed', async () => {
    await using temporary = await temporaryDirectory()
    {
      await using _holder = await openElsewhere(temporary.path)
    }
    {
      await using holder = await openElsewhere(temporary.path)
      holder.child.kill('SIGKILL')
      await once(holder.child, 'exit')
    }
    // Left by the killed one, and no obstacle.
    assert.ok((await readdir(temporary.path)).includes('owner.json'))
    await using _directory = await DataDirectory.open(temporary.path)
  })

  test('goes to exactly one of many that start at once', async () => {
    await using temporary = await temporaryDirectory()
    const holders = await Promise.all(
      Array.from({ length: 4 }, () => openElsewhere(temporary.path)),
    )
    const pids = holders.filter(({ outcome }) => outcome.pid !== undefined)
    const refused = holders.filter(({ outcome }) => outcome.name === 'StartError')
    for (const holder of holders) await holder[Symbol.asyncDispose]()
    assert.deepEqual([pids.length, refused.length], [1, 3])
    for (const { outcome } of refused) assert.match(outcome.message ?? '', /is in use by/)
  })
})

function ids(): string {
  return `${process.geteuid?.()}:${process.getegid?.()}`
}
