// The house rules that no linter holds: sizes, names, a comment at the top of each file, documents
// that tell all there is to tell, nothing unused, nothing that belongs to one machine.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { describe, test } from 'node:test'
import { configDefinitions } from '../scripts/release/chart-schema.ts'
import { limits } from '../src/config/limits.ts'
import { ociErrors } from '../src/oci/errors.ts'
import { Metrics } from '../src/telemetry/metrics.ts'

const root = join(import.meta.dirname, '..')

/** Files under version control, and those that are about to be; without git, all that are here. */
function listFiles(): string[] {
  const args = ['-C', root, 'ls-files', '--cached', '--others', '--exclude-standard', '-z']
  const listed = spawnSync('git', args, { encoding: 'utf8' })
  if (listed.status === 0) {
    return listed.stdout.split('\0').filter((path) => path !== '' && existsSync(join(root, path)))
  }
  const ignored = ['node_modules/**', 'data/**', '.git/**']
  const found = globSync(['**/*', '.*', '.ci/*'], { cwd: root, exclude: ignored })
  return found.filter((path) => statSync(join(root, path)).isFile())
}

const files = listFiles()
const sources = files.filter((path) => path.startsWith('src/') && path.endsWith('.ts'))
const textByPath = new Map<string, string>()

function read(path: string): string {
  const known = textByPath.get(path)
  if (known !== undefined) return known
  const text = readFileSync(join(root, path), 'utf8')
  textByPath.set(path, text)
  return text
}

/** Fails with all offenders at once. */
function assertNone(offenders: readonly string[], rule: string): void {
  assert.deepEqual(offenders, [], rule)
}

describe('source files', () => {
  test('there are some', () => assert.ok(sources.length > 50))

  test('have at most 400 lines', () => {
    const linesMax = 400
    const long = sources.filter((path) => read(path).split('\n').length - 1 > linesMax)
    assertNone(long, 'split these by concept')
  })

  test('open with a comment that says what they are', () => {
    const bare = sources.filter((path) => !/^\/(?:\*\*|\/)/.test(read(path)))
    assertNone(bare, 'these begin with code')
  })

  test('have names that say what is inside', () => {
    const vague = /^(?:utils?|helpers?|types?|index|common|misc|.*(?:service|manager|helper|impl))$/
    // Docker's own word for a program that knows passwords.
    const exceptions = ['credential-helper']
    const offenders = sources
      .map((path) => basename(path, '.ts'))
      .filter((name) => vague.test(name) && !exceptions.includes(name))
    assertNone(offenders, 'what do these hold?')
    const notKebab = sources.filter(
      (path) => !/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(basename(path, '.ts')),
    )
    assertNone(notKebab, 'file names are kebab-case')
  })

  test('leave nothing for later', () => {
    const unfinished = sources.filter((path) => /\b(?:FIXME|TODO|XXX|HACK)\b/.test(read(path)))
    assertNone(unfinished, 'do it now, or write an issue')
  })

  test('take node:http from lib/node-http.ts, which says why', () => {
    const offenders = sources.filter((path) => /import (?!type )[^']*'node:http'/.test(read(path)))
    assertNone(offenders, 'import types only, and the rest from lib/node-http.ts')
  })

  test('are all imported by another one, or are the program', () => {
    const imported = new Set(
      sources.flatMap((path) =>
        importsOf(read(path)).map((target) => relative('.', join(dirname(path), target))),
      ),
    )
    const unused = sources.filter((path) => path !== 'src/main.ts' && !imported.has(path))
    assertNone(unused, 'nothing imports these')
  })
})

function importsOf(text: string): string[] {
  const specifiers = /(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g
  return [...text.matchAll(specifiers)].map(([, specifier]) => specifier ?? '')
}

/** Rows of all tables whose first cell is code: the cells. */
function rowsOf(path: string): { code: string; cells: string[] }[] {
  assert.ok(existsSync(join(root, path)), `${path} is missing`)
  const rows = read(path).matchAll(/^\| `([^`|]+)` *\|(.*)\|$/gm)
  return [...rows].map(([, code = '', rest = '']) => ({
    code,
    cells: rest.split(/(?<!\\)\|/).map((cell) => cell.trim()),
  }))
}

describe('documents', () => {
  test('docs/errors.md has every error code once, with its status', () => {
    const rows = rowsOf('docs/errors.md')
    const documented = rows.map(({ code, cells }) => `${code} ${cells[0]}`)
    const catalogue = Object.entries(ociErrors).map(([code, { status }]) => `${code} ${status}`)
    assert.deepEqual(documented.toSorted(), catalogue.toSorted())
  })

  test('docs/errors.md lists the codes in order, so that they are found', () => {
    const tables = read('docs/errors.md').split(/^## /m).slice(1)
    for (const table of tables) {
      const codes = [...table.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, code = '']) => code)
      assert.deepEqual(
        codes,
        codes.toSorted((a, b) => (a < b ? -1 : 1)),
      )
    }
  })

  test('docs/operations.md has every metric once, with its kind and labels', async () => {
    const counts = { repositories: 0, manifests: 0, tags: 0, blobs: 0, bytes: 0, uploads: 0 }
    const metrics = new Metrics({ version: '0', lastReload: () => ({ at: 0, ok: true }) })
    metrics.showContent({
      countContent: () => Promise.resolve(counts),
      countHoldsSeconds: 60,
      measureCache: () => Promise.resolve(0),
      cacheMaxBytes: () => undefined,
      evicted: () => ({ manifests: 0, bytes: 0 }),
      damaged: () => ({}),
      isDatabaseDamaged: () => false,
    })
    const nothing = { passes: 0, failures: 0, blobs: 0, bytes: 0 }
    metrics.showStorage({
      freeBytes: () => Promise.resolve(0),
      freeHoldsSeconds: 1,
      refusedPushes: () => 0,
    })
    metrics.showCollection({ collected: () => nothing })
    metrics.showLogins({ refusedLogins: () => ({ wrong: 0, throttled: 0 }) })
    metrics.showUpstreams({ upstreamStates: () => [], upstreamCounts: () => [] })
    metrics.showCertificate(() => new Date(0))
    metrics.showWebhook({
      certificateNotAfter: () => undefined,
      isBundleInSync: () => undefined,
      events: () => ({}),
    })
    const text = await metrics.render()
    const served = [...text.matchAll(/^# TYPE (trow_\w+) (\w+)$/gm)].map(
      ([, name, kind]) => `${name} ${kind}`,
    )
    assert.ok(served.length > 5)
    const rows = rowsOf('docs/operations.md').filter(({ code }) => code.startsWith('trow_'))
    assert.deepEqual(
      rows.map(({ code, cells }) => `${code} ${cells[0]}`).toSorted(),
      served.toSorted(),
    )
  })

  test("the chart's values.schema.json has the configuration as it is", () => {
    const schema = JSON.parse(read('charts/trow/values.schema.json')) as {
      definitions: Record<string, unknown>
    }
    for (const [name, definition] of Object.entries(configDefinitions())) {
      const made = JSON.parse(JSON.stringify(definition)) as unknown
      assert.deepEqual(schema.definitions[name], made, 'run `npm run chart`')
    }
  })

  test('docs/security.md names limits that there are', () => {
    const named = [...read('docs/security.md').matchAll(/`([a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)+)`/g)]
    assert.ok(named.length > 30)
    assertNone(
      named.map(([, name = '']) => name).filter((name) => !Object.hasOwn(limits, name)),
      'no limit has this name',
    )
  })

  test('docs/security.md names tests that there are, by file and title', () => {
    const text = read('docs/security.md')
    const shown = [...text.matchAll(/`(test\/[^`]+)` "([^"]+)"/g)]
    const paths = [...text.matchAll(/`(test\/[^`]+)`/g)]
    assert.ok(shown.length > 40)
    assert.equal(shown.length, paths.length, 'a test without its title')
    assertNone(
      shown
        .filter(([, path = '', title = '']) => !files.includes(path) || !read(path).includes(title))
        .map(([whole]) => whole),
      'no such test',
    )
  })

  test('link to files that are there', () => {
    const dead = files
      .filter((path) => path.endsWith('.md') && !path.startsWith('test/tools/'))
      .flatMap((path) =>
        [...read(path).matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g)]
          .map(([, target = '']) => target)
          .filter((target) => !existsSync(join(root, dirname(path), target)))
          .map((target) => `${path}: ${target}`),
      )
    assertNone(dead, 'these links lead nowhere')
  })
})

test('every limit is used', () => {
  const users = files
    .filter(
      (path) => /^(?:src|scripts)\/.*\.ts$/.test(path) && !path.startsWith('src/config/limits'),
    )
    .map((path) => read(path))
    .join('\n')
  const unused = Object.keys(limits).filter((name) => !new RegExp(`\\b${name}\\b`).test(users))
  assertNone(unused, 'a limit that nothing keeps to is a wish')
})

describe('the repository', () => {
  test('holds no large files', () => {
    const generated = ['package-lock.json', 'test/tools/go.sum']
    const large = files.filter(
      (path) => !generated.includes(path) && statSync(join(root, path)).size > 100_000,
    )
    assertNone(large, 'over 100 kB')
  })

  test('says nothing about the machine it was written on', () => {
    // Built of parts, so that this file is no offender itself.
    const home = String.raw`/(?:home|Users)/(?!(?:user|you|nonroot|trow)\b)[a-z]|/${'root'}/`
    const hosts = [
      'registry.npmjs',
      'registry.yarnpkg',
      'proxy.golang',
      'npm.pkg.github',
      'artifactory',
    ]
    const personal = new RegExp(
      `${home}|\\b(?:${hosts.map((host) => host.replace('.', '\\.')).join('|')})`,
    )
    const isText = (path: string): boolean => !/\.(?:png|ico|gz|tar)$/.test(path)
    const offenders = files.filter((path) => isText(path) && path !== 'test/tidy.test.ts')
    assertNone(
      offenders.filter((path) => personal.test(read(path))),
      'a path or host of one machine',
    )
  })

  test('keeps tests under 600 lines', () => {
    const tests = files.filter((path) => /^test\/.*\.ts$/.test(path))
    const long = tests.filter((path) => read(path).split('\n').length - 1 > 600)
    assertNone(long, 'split these by what they test')
  })
})
