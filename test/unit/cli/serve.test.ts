import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import { type RunningApp, serve } from '../../../src/cli/serve.ts'
import type { Config } from '../../../src/config/config.ts'
import { Exit, FakeHost } from './fake-host.ts'

const sources = { flags: new Map([['--log-level', 'off']]), environment: {} }

/** An app that ends when the test lets it. */
class FakeApp implements RunningApp {
  readonly address = 'http://[::]:8000'
  readonly reloads: Config[] = []
  readonly events = new EventEmitter()
  readonly mayStop = Promise.withResolvers<void>()

  reload(config: Config): void {
    this.reloads.push(config)
    this.events.emit('reload')
  }

  async stop(graceSeconds: number): Promise<void> {
    this.events.emit('stop', graceSeconds)
    await this.mayStop.promise
  }
}

function start() {
  const host = new FakeHost()
  const app = new FakeApp()
  const started = Promise.withResolvers<void>()
  const ended = serve(sources, host, {
    lines: () => [],
    start: async () => {
      started.resolve()
      return app
    },
  })
  return { host, app, ended, started: Promise.race([started.promise, ended]) }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} stops the app with the grace period and ends with 0`, async () => {
    const { host, app, ended, started } = start()
    await started
    const stopping = once(app.events, 'stop')
    host.signal(signal)
    assert.deepEqual(await stopping, [25])
    app.mayStop.resolve()
    await assert.rejects(ended, (error) => error instanceof Exit && error.code === 0)
  })

  test(`a second signal ends at once: ${signal}`, async () => {
    const { host, app, started } = start()
    await started
    const stopping = once(app.events, 'stop')
    host.signal('SIGTERM')
    await stopping
    const code = signal === 'SIGTERM' ? 143 : 130
    assert.throws(
      () => host.signal(signal),
      (error) => error instanceof Exit && error.code === code,
    )
  })
}

test('SIGHUP loads the configuration again, after the start if need be', async () => {
  const { host, app, ended, started } = start()
  await started
  const reloaded = once(app.events, 'reload')
  host.signal('SIGHUP')
  await reloaded
  assert.equal(app.reloads.length, 1)
  host.signal('SIGTERM')
  app.mayStop.resolve()
  await assert.rejects(ended, Exit)
})

test('an app that cannot start is no more than its error', async () => {
  const host = new FakeHost()
  const failing = { lines: () => [], start: () => Promise.reject(new Error('port in use')) }
  await assert.rejects(serve(sources, host, failing), /port in use/)
})
