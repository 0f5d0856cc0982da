// A thread that hangs: it hashes nothing, says nothing and does not end.

import { parentPort } from 'node:worker_threads'

parentPort?.on('message', () => undefined)
