/**
 * `trow webhook`: the admission webhooks without the registry, several of them side by side if wanted.
 * Whether images may run then depends on nothing but these processes.
 */
import { Command } from 'commander'
import type { Host } from './host.ts'
import { serve } from './serve.ts'
import { addSettingOptions, readFlags } from './setting-options.ts'
import { webhookLines } from './start-up-lines.ts'

/** Flags of the registry, of which there is none here. */
const notHere = [
  '--tls',
  '--cors',
  '--trusted-proxies',
  '--data-dir',
  '--user',
  '--password',
  '--anonymous-pull',
]

export function webhookCommand(host: Host): Command {
  return addSettingOptions(new Command('webhook'), notHere)
    .description('run the admission webhooks alone, without a registry; --bind is for its probes')
    .action(async (_: unknown, command: Command) => {
      const sources = { flags: readFlags(command), environment: host.environment }
      await serve(sources, host, {
        lines: webhookLines,
        start: async (...args) => {
          const { WebhookApp } = await import('../app/webhook-app.ts')
          return WebhookApp.start(...args)
        },
      })
    })
}
