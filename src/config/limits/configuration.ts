/** The configuration and the log. */
const MiB = 1024 * 1024

export const configurationLimits = {
  configFileBytesMax: 4 * MiB,
  /** A certificate chain or a private key. */
  tlsFileBytesMax: 1 * MiB,
  /** Problems of a configuration that are written out; the rest are counted. */
  configProblemsShownMax: 100,
  /** Bounds of what `uploads.idle_timeout` and `shutdown_grace` may be set to. */
  uploadIdleSecondsMin: 1,
  uploadIdleSecondsMax: 365 * 24 * 3600,
  shutdownGraceSecondsMax: 3600,
  /** What `registry_proxies` may be set to. A day old is as stale as a checked tag may get. */
  proxyTagTtlSecondsMax: 24 * 3600,
  /** Long enough for a storm of pulls of what is not there, short enough for who has just pushed it. */
  proxyUnknownTtlSecondsDefault: 10,
  proxyUnknownTtlSecondsMax: 3600,
  /** Time-outs of one registry: below a network's round trip nothing works, above nobody waits. */
  proxyTimeoutSecondsMin: 0.1,
  proxyTimeoutSecondsMax: 300,
  proxyConnectionsMax: 1_024,
  /** One request in a hundred seconds. */
  proxyRequestsPerSecondMin: 0.01,
  proxyRequestsPerSecondMax: 10_000,
  /** Log lines waiting for a slow reader; what does not fit is dropped. */
  logBufferBytesMax: 16 * MiB,
  /** A changed file is loaded when it looks the same at two polls. */
  configPollSeconds: 2,
} as const
