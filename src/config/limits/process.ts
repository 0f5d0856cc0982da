/** The process itself. */
export const processLimits = {
  /** How often an idle process looks whether it holds garbage. */
  idleLookSeconds: 1,
  /** Of the event loop's time since the last look: with more to do it is not idle. */
  idleUtilizationMax: 0.02,
  /** Of processor time since the last collection: a collection takes 20. */
  idleCollectionCpuMsMin: 200,
} as const
