/**
 * What clients reach: the listener, and the settings of it that a reload changes.
 */
import type { AccessSettings } from '../auth/access.ts'
import { toBlockList } from '../config/address-range.ts'
import type { Config } from '../config/config.ts'
import { Cors } from '../http/cors.ts'
import type { Dispatcher, DispatcherSettings } from '../http/dispatcher.ts'
import { Listener } from '../http/listener.ts'
import type { Foundation } from './foundation.ts'

export async function listen(
  { config, onReload, log }: Foundation,
  dispatcher: Dispatcher,
): Promise<{ listener: Listener; address: string }> {
  const { tls } = config
  const listener = new Listener(
    (request, response, awaitsContinue) =>
      void dispatcher.dispatch(request, response, awaitsContinue),
    log,
    tls && { cert: tls.cert, key: tls.key.reveal() },
  )
  onReload.push((changed) => {
    if (changed.tls === undefined) return
    listener.setCertificate({ cert: changed.tls.cert, key: changed.tls.key.reveal() })
  })
  return { listener, address: await listener.listen(config.bind) }
}

export function dispatcherSettings(config: Config): DispatcherSettings {
  return {
    hostnames: config.hostnames,
    trustedProxies: toBlockList(config.trustedProxies),
    cors: new Cors(config.cors),
  }
}

export function accessSettings({ auth }: Config): AccessSettings {
  return {
    anonymousPull: auth.anonymousPull,
    ...(auth.user && {
      user: { name: auth.user.name, password: auth.user.password.reveal() },
    }),
  }
}
