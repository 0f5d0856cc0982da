/** Metrics of the configuration that is in force. */
import { Gauge, type Registry } from '@prometheus-io/client'

/** The last attempt to load the configuration, the one at start included. */
interface LastReload {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly ok: boolean
}

export interface ReloadSource {
  readonly lastReload: () => LastReload
}

/** A broken configuration file is easily overlooked: the one before it stays in force. */
export function registerReloadGauges(registers: Registry[], { lastReload }: ReloadSource): void {
  const success: Gauge = new Gauge({
    name: 'trow_config_last_reload_successful',
    help: 'Whether the last load of the configuration succeeded; if not, the one before is in force',
    registers,
    collect: () => success.set(lastReload().ok ? 1 : 0),
  })
  const at: Gauge = new Gauge({
    name: 'trow_config_last_reload_timestamp_seconds',
    help: 'When the configuration was last loaded, successfully or not',
    registers,
    collect: () => at.set(lastReload().at / 1000),
  })
}
