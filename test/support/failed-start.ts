// A start that is expected to fail: the exit code and what was written to standard error. One that
// succeeds all the same is ended.

import { execFile, type ExecFileException } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../bin/trow', import.meta.url))
const deadlineMs = 30_000

export interface FailedStart {
  readonly code: number
  readonly stderr: string
}

export function failedStart(dataDirectory: string): Promise<FailedStart> {
  const args = ['serve', '--bind', '127.0.0.1:0', '--data-dir', dataDirectory]
  return new Promise((resolve) => {
    const done = (error: ExecFileException | null, _stdout: string, stderr: string): void => {
      resolve({ code: Number(error?.code ?? 0), stderr })
    }
    execFile(program, args, { timeout: deadlineMs, env: { PATH: process.env['PATH'] } }, done)
  })
}
