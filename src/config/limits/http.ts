/** HTTP: connections, requests and answers. */
const KiB = 1024
const MiB = 1024 * 1024

export const httpLimits = {
  /** Request line and headers together; 64 tags of 128 characters fit. */
  headerBytesMax: 32 * KiB,
  headersTimeoutSeconds: 30,
  /** Large manifests and lists that are being sent; beyond it such requests are told to come again. */
  repliesHeldBytesMax: 128 * MiB,
  /** No byte in either direction for this long ends a connection, however large the layer is. */
  socketIdleSecondsMax: 120,
  /** Longer than the 60 s of common load balancers, so that they close first. */
  keepAliveSecondsMax: 75,
  connectionsMax: 10_000,
  /** Requests of one connection that wait for the answer to the one before; registry clients send none ahead. */
  requestsAheadMax: 64,
  /** An unwanted request body up to this is read to its end, and the connection goes on. */
  discardedBodyBytesMax: 1 * MiB,
  /** So much of a longer one is read, so that a client that sends first and reads then is answered. */
  lingeringBodyBytesMax: 64 * MiB,
  discardSecondsMax: 5,
  /** Bodies other than blobs and manifests (token requests). */
  formBytesMax: 64 * KiB,
  /** In-flight requests get this long after SIGTERM; Kubernetes waits 30 s by default. */
  shutdownGraceSecondsDefault: 25,
  /** Several probes may ask at once; each check writes a file. */
  readinessHoldsSeconds: 1,
  /** Counting what the registry holds reads whole indexes. */
  contentCountHoldsSeconds: 60,
} as const
