/**
 * What clients reach: the listener, and the settings of it that a reload changes.
 */
import { X509Certificate } from 'node:crypto'
import type { AccessSettings } from '../auth/access.ts'
import type { Authenticator } from '../auth/authenticator.ts'
import { toBlockList } from '../config/address-range.ts'
import type { Config } from '../config/config.ts'
import { Cors } from '../http/cors.ts'
import { Dispatcher, type DispatcherSettings } from '../http/dispatcher.ts'
import type { Route } from '../http/exchange.ts'
import { Listener } from '../http/listener.ts'
import { Router } from '../http/router.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Foundation } from './foundation.ts'

interface Served extends Pick<Foundation, 'config' | 'onReload' | 'log' | 'proxyName'> {
  readonly authenticator: Authenticator
  readonly metrics: Metrics
}

export function makeDispatcher(served: Served, routes: readonly Route[]): Dispatcher {
  const { config, onReload } = served
  const dispatcher = new Dispatcher(
    { ...served, router: new Router(routes) },
    dispatcherSettings(config),
  )
  onReload.push((changed) => dispatcher.reload(dispatcherSettings(changed)))
  return dispatcher
}

export async function listen(
  { config, onReload, log, metrics }: Pick<Served, 'config' | 'onReload' | 'log' | 'metrics'>,
  dispatcher: Dispatcher,
): Promise<{ listener: Listener; address: string }> {
  const { tls } = config
  const listener = new Listener(
    dispatcher.listener,
    log,
    tls && { cert: tls.cert, key: tls.key.reveal() },
  )
  let served = tls?.cert ?? ''
  onReload.push((changed) => {
    if (changed.tls === undefined) return
    listener.setCertificate({ cert: changed.tls.cert, key: changed.tls.key.reveal() })
    served = changed.tls.cert
  })
  // With or without TLS is a matter of the start.
  if (tls !== undefined) metrics.showCertificate(() => new X509Certificate(served).validToDate)
  return { listener, address: await listener.listen(config.bind) }
}

function dispatcherSettings(config: Config): DispatcherSettings {
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
