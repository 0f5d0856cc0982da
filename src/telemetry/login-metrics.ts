/** The metric of logins that were refused: a password that is guessed, or one that was changed. */
import { Counter, type Registry } from '@prometheus-io/client'

export interface LoginSource {
  /** Since the start. */
  readonly refusedLogins: () => { readonly wrong: number; readonly throttled: number }
}

export function registerLoginMetrics(registers: Registry[], source: LoginSource): void {
  const told = { wrong: 0, throttled: 0 }
  const counter: Counter<'reason'> = new Counter({
    name: 'trow_logins_refused_total',
    help: 'Logins with a wrong name or password, and those not tried after too many of them',
    labelNames: ['reason'],
    registers,
    collect: () => {
      const refused = source.refusedLogins()
      for (const reason of ['wrong', 'throttled'] as const) {
        counter.inc({ reason }, refused[reason] - told[reason])
        told[reason] = refused[reason]
      }
    },
  })
}
