// Runs push-load.ts against a server.

import { fileURLToPath } from 'node:url'
import { run } from './programs.ts'
import type { PushLoad, PushResult } from './push-load.ts'

const script = fileURLToPath(new URL('push-load.ts', import.meta.url))
const pushSecondsMax = 600

export async function pushBlobs(load: PushLoad): Promise<PushResult> {
  const command = { program: process.execPath, args: [script, JSON.stringify(load)] }
  return JSON.parse(await run(command, pushSecondsMax)) as PushResult
}
