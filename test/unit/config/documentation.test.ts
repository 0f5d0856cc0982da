import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { schemaKeys } from '../../../src/config/schema-keys.ts'
import { environmentName, longFlag, type Setting, settings } from '../../../src/config/settings.ts'

const text = await readFile(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')

/** Cells of the tables' rows whose first cell is in backticks, backticks kept. */
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )

const keyRows = rows.filter(([first]) => !first?.startsWith('`-'))
const flagRows = rows.filter(([first]) => first?.startsWith('`-'))

function written(initial: unknown): string {
  if (initial === undefined) return 'none'
  if (typeof initial === 'string') return `\`${initial}\``
  const isList = Array.isArray(initial) && initial.length > 0
  return `\`${isList ? initial.join(', ') : JSON.stringify(initial)}\``
}

describe('the documentation of keys', () => {
  for (const { path, facts, isSection } of schemaKeys) {
    test(`names ${path}`, () => assert.ok(text.includes(`\`${path}\``)))
    if (isSection) continue
    test(`has the right default of ${path}, and whether it is reloaded`, () => {
      const row = keyRows.find(([first]) => first === `\`${path}\``)
      assert.equal(row?.[1], written(facts.initial))
      assert.equal(row?.[2], facts.restart ? 'no' : 'yes')
    })
  }
  test('has no key that does not exist', () => {
    const known = schemaKeys.map(({ path }) => `\`${path}\``)
    assert.deepEqual(
      keyRows.map(([first]) => first).filter((key) => !known.includes(key ?? '')),
      [],
    )
  })
})

describe('the documentation of flags and variables', () => {
  const flagsOf = (setting: Setting) =>
    [longFlag(setting), ...(setting.short ? [setting.short] : [])].map((flag) => `\`${flag}\``)
  for (const setting of settings as readonly Setting[]) {
    test(`has ${longFlag(setting)} with its variable and its key`, () => {
      const row = flagRows.find(([first]) => first === flagsOf(setting).join(', '))
      assert.equal(row?.[1], `\`${environmentName(setting)}\``)
      assert.equal(row?.[2], setting.key === undefined ? '' : `\`${setting.key.join('.')}\``)
    })
  }
  test('has no flag and no variable that does not exist', () => {
    assert.equal(flagRows.length, settings.length)
  })
})
