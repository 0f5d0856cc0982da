/** The process itself. */
export const processLimits = {
  /** How often a process that has started looks whether it is idle, until it was. */
  idleLookSeconds: 1,
  /** Of the event loop's time since the last look: with more to do it is not idle. */
  idleUtilizationMax: 0.02,
} as const
