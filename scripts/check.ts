/**
 * `npm run check`: format, lint, types, dead code and the unit tests, in under a minute. Everything
 * runs, so that one look shows all that is wrong.
 */
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const bin = (name: string): string => resolve(root, 'node_modules/.bin', name)

interface Check {
  readonly name: string
  readonly command: readonly [string, ...string[]]
}

const checks: readonly Check[] = [
  { name: 'format', command: [bin('oxfmt'), '--check', '.'] },
  { name: 'lint', command: [bin('oxlint'), 'src', 'test', 'scripts', 'bench'] },
  { name: 'types', command: [bin('tsc'), '--noEmit'] },
  {
    name: 'dead code',
    command: [process.execPath, resolve(root, 'node_modules/knip/bin/knip.js')],
  },
  {
    name: 'unit tests',
    command: [process.execPath, 'scripts/test.ts', 'test/unit', 'test/tidy.test.ts'],
  },
]

function runCheck({ command }: Check): Promise<{ ok: boolean; output: string }> {
  const [program, ...args] = command
  return new Promise((resolveRun) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    const output: Buffer[] = []
    child.stdout.on('data', (bytes: Buffer) => output.push(bytes))
    child.stderr.on('data', (bytes: Buffer) => output.push(bytes))
    child.on('error', (error) => resolveRun({ ok: false, output: error.message }))
    child.on('close', (code) =>
      resolveRun({ ok: code === 0, output: Buffer.concat(output).toString() }),
    )
  })
}

let failed = 0
for (const check of checks) {
  const started = performance.now()
  const { ok, output } = await runCheck(check)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${check.name} (${seconds} s)`)
  if (!ok) {
    failed += 1
    console.log(output)
  }
}
process.exitCode = failed === 0 ? 0 : 1
