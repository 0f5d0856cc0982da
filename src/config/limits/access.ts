/** Who may do what: tokens, logins. */
const KiB = 1024

export const accessLimits = {
  tokenTtlSeconds: 3600,
  /** Clocks of replicas may differ by this much. */
  tokenClockSkewSeconds: 60,
  tokenBytesMax: 16 * KiB,
  scopesPerTokenMax: 64,
  passwordBytesMax: 4 * KiB,
  /** Credentials that were verified once and need no argon2 (31 ms) again. */
  verifiedCredentialsMax: 1_000,
  /** Failed logins of one address before it has to wait. */
  loginFailuresMax: 10,
  loginFailureWindowSeconds: 60,
  loginAddressesMax: 10_000,
  /** Different credentials of one slowed address before nothing of it passes. */
  loginGuessesMax: 100,
  /** Refused credentials that are remembered, so that the same one is not counted twice. */
  refusedCredentialsMax: 10_000,
  /** Runs of argon2 at a time; each holds 19 MiB and a thread of the pool that also writes blobs. */
  argon2RunsMax: 4,
  /** Logins that may wait for such a run; they are answered within a second. */
  argon2WaitingMax: 64,
  /** Verified tokens that need no second look at their signature. */
  verifiedTokensMax: 1_000,
  /** A login that asked to stay: as long as it takes to come back from a holiday. */
  refreshTokenTtlSeconds: 30 * 24 * 3600,
  /** How long a browser may go on without asking for the CORS rules again; none waits longer. */
  corsMaxAgeSeconds: 86_400,
} as const
