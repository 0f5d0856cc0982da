/**
 * Every bound of the system, by name, with its reason. A queue, cache, body, header, page or wait
 * without an entry here is a defect. Sizes are bytes, times are as the name's last word says.
 */

const KiB = 1024
const MiB = 1024 * KiB

export const limits = {
  // -- content
  /** The specification asks for at least 4 megabytes; the conformance suite pushes 3.9. */
  manifestBytesMax: 4 * MiB,
  /** Descriptors of one manifest; far over any real index, it bounds one transaction. */
  manifestReferencesMax: 10_000,
  /** `?tag=` parameters of one manifest push; the specification asks for at least 10. */
  tagsPerPushMax: 64,

  // -- pages
  /** Tags or repositories on a page when the client names no number. */
  pageEntriesDefault: 1_000,
  /** A page never holds more than this, whatever `n` says; `Link` leads on. */
  pageEntriesMax: 10_000,
  /** Repositories that a blob may be mounted from, looked at when the client names none. */
  mountCandidatesMax: 100,
  /** A page of referrers is itself a manifest, so it keeps to the manifest's size. */
  referrersPageBytesMax: 4 * MiB,
  referrersPageEntriesMax: 1_000,

  // -- uploads
  /** A session that nothing was sent to for this long is removed. */
  uploadIdleSecondsDefault: 24 * 3600,
  /** How often idle sessions are looked for. */
  uploadExpiryIntervalSeconds: 600,
  uploadsExpiredPerRunMax: 1_000,
  /** Sessions whose running digest is kept in memory; the others are hashed again at the end. */
  uploadDigestersMax: 1_024,
  /** Bytes gathered before one write to the staged file. */
  uploadWriteBytes: 512 * KiB,
  /** Such bytes of all uploads together; beyond it they are written as they come. */
  uploadGatheredBytesMax: 32 * MiB,

  // -- reading
  /** Two buffers of this size per response: 2.3 s CPU for 5 GiB, 64 KiB chunks took 6.6 s. */
  readBufferBytes: 1 * MiB,
  /** Idle read buffers kept for the next response. */
  readBuffersPooledMax: 32,
  /** Of all buffers in use; a slow client holds its two for as long as it likes. */
  readBuffersBytesMax: 64 * MiB,
  /** What a response reads with beyond that: slower for it, but two thousand take only 125 MiB. */
  readBufferBeyondBytes: 32 * KiB,
  /** Ranges of one request; more are answered with the whole blob (RFC 9110, 14.2). */
  rangesPerRequestMax: 16,
  /** Bytes of manifests kept in memory for the hot read path. */
  manifestCacheBytesMax: 64 * MiB,
  manifestCacheEntriesMax: 10_000,

  // -- pull-through
  /** Bytes at the end of a blob that no client gets before all of it was verified. */
  fillHeldBackBytes: 64 * KiB,
  /** Transfers in a row that bring no byte before a blob is given up. */
  fillFruitlessTriesMax: 5,
  fillRetryDelaySeconds: 0.5,
  /** How long an upstream may take to answer while there is a copy to serve in its place. */
  tagCheckSecondsMax: 4,
  /** Layers that nobody has asked for yet, fetched at a time: they must leave room for the others. */
  prefetchTransfersMax: 4,
  /** Layers that wait for that; hundreds of images are being pulled when there are more. */
  prefetchWaitingMax: 2_000,
  /** Shares of `max_size`: eviction begins above the first, and ends at the second. */
  cacheHighWatermark: 0.95,
  cacheLowWatermark: 0.85,
  /** Manifests and blobs evicted in one transaction: 0.6 ms each, in which nobody else is served. */
  cacheEvictedPerStepMax: 25,
  /** Files that are removed at once; whoever stores one of the same waits for all of them. */
  contentRemovedAtOnceMax: 50,
  /** After a disk or a database failed, eviction is not tried again for so long. */
  cacheEvictionRetrySeconds: 10,
  /** How long the size of the cache is counted on from one measurement: 4 s for a million blobs. */
  cacheMeasurementHoldsSeconds: 600,
  /** How much of the order in which images were used a crash may forget. */
  cacheUsesFlushSeconds: 10,
  cacheUsesGatheredMax: 10_000,
  cacheUsesPerWriteMax: 200,
  /** Blobs larger than `max_size`, so that each is logged once. */
  tooLargeBlobsRememberedMax: 1_000,
  /** Unlisted upstreams that are counted by name; the others are counted together. */
  upstreamsCountedMax: 100,
  /** Registries like this one that a request came through; a chain of three is rare already. */
  viaHopsMax: 8,
  /** Proxies of any kind; one that names itself anew each time is in a loop as well. */
  viaEntriesMax: 32,
  /** Tags whose last check, and refusals whose reason, are remembered. */
  pullsRememberedMax: 10_000,

  // -- database
  /** How long a lock of another program is waited for; requests that only read go on meanwhile. */
  databaseBusySecondsMax: 5,

  // -- HTTP
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

  // -- access
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

  // -- admission
  /** An object of etcd has 1.5 MiB at most; an update carries it twice. Padding must be no way by. */
  reviewBytesMax: 8 * MiB,
  /** What the API server waits when the webhook's configuration does not say, and at most. */
  reviewSecondsDefault: 10,
  reviewSecondsMax: 30,
  /** Containers, or volumes, of one pod; real ones have a few dozen. */
  reviewImagesMax: 1_000,
  reviewGroupsMax: 1_000,
  /** Refused images of one review that its log line names. */
  reviewImagesLoggedMax: 50,
  /** An image reference has 1024 characters at most. */
  ruleLengthMax: 1_024,
  /** The API server cuts warnings at 256 characters. */
  ruleMessageLengthMax: 200,
  /** Rules of each list that the lines at start show; the others are counted. */
  startUpRulesShownMax: 100,
  /** The API server's parser of CEL takes 100,000 characters an expression. */
  exportedPolicyLengthMax: 100_000,
  /** Looked through one by one for each review. */
  policyNamespacesMax: 1_000,

  // -- configuration
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

  // -- upstream
  /** Seconds until a connection stands, until headers arrive, and between two runs of a body. */
  upstreamConnectSecondsMax: 10,
  upstreamHeadersSecondsMax: 30,
  upstreamBodyIdleSecondsMax: 60,
  /** Connections to one origin; further requests wait for one of them. */
  upstreamConnectionsMax: 16,
  /** Origins that one client talks to: the registry, its token service, where it redirects to. */
  upstreamOriginsMax: 64,
  upstreamRedirectsMax: 5,
  /** How often one request is sent in all when it fails in a way that passes. */
  upstreamAttemptsMax: 3,
  upstreamBackoffMsMin: 200,
  upstreamBackoffMsMax: 3_000,
  /** A longer `Retry-After` is not waited for; the failure is reported with it. */
  upstreamRetryAfterSecondsMax: 10,
  /** How much of an error's body is read. */
  upstreamErrorBytesMax: 64 * KiB,
  upstreamTokenBytesMax: 64 * KiB,
  upstreamTokensMax: 1_000,
  /** What the token specification assumes when `expires_in` is missing; shorter lives count as it. */
  upstreamTokenSecondsMin: 60,
  upstreamTokenSecondsMax: 24 * 3600,
  /** Challenges of one `WWW-Authenticate` header. */
  upstreamChallengesMax: 16,
  /** Entries asked for on a page; more is an error to ECR and to distribution's catalog. */
  upstreamPageEntries: 1_000,
  upstreamPageBytesMax: 8 * MiB,
  upstreamPagesMax: 10_000,
  /** An image's config is read whole; real ones have a few kilobytes. */
  upstreamConfigBytesMax: 4 * MiB,
  credentialFileBytesMax: 1 * MiB,
  credentialHelperSecondsMax: 30,
  credentialHelperBytesMax: 64 * KiB,
  /** `trow ls` and `trow inspect`: requests at a time, rows held back to align a table. */
  listConcurrency: 8,
  listRowsBufferedMax: 256,
  /** Images that `trow ls` remembers, as many tags name the same one. */
  listImagesCachedMax: 1_000,
  inspectDepthMax: 8,
  inspectManifestsMax: 10_000,
  /** How long a Trow may take to begin an answer: as long as two time-outs for its upstream can be. */
  trowHeadersSecondsMax: 600,
  /** Before Trow itself ends a connection on which nothing moves. */
  trowBodyIdleSecondsMax: 100,
  /** `trow warm`: what is read to find images; the pods of a large cluster take some 50 MB. */
  warmInputBytesMax: 256 * MiB,
  warmImagesMax: 20_000,
  warmJobsDefault: 4,
  warmJobsMax: 32,
  /** Blobs of one image at a time: what containerd does, too. */
  warmBlobsAtOnce: 3,
  /** Between two bytes by which a blob is followed: some seconds, at the speed of most lines. */
  warmStepBytes: 16 * MiB,
  /** Waits for one such byte, as long as an idle connection each. */
  warmByteTriesMax: 10,
  /** From the last byte of a blob until it is on Trow's disk. */
  warmKeptSecondsMax: 600,
  warmKeptPollMsMin: 20,
  warmKeptPollMsMax: 2_000,
  /** Blobs that images share, so that each is looked at once. */
  warmBlobsRememberedMax: 100_000,
  /** Bars on a terminal, which may have few lines. */
  progressLinesMax: 10,
  /** Registries that connections are kept for; the one that was asked longest ago makes room. */
  upstreamClientsMax: 256,
  /** For a client that waits: containerd gives up after 30 s, so headers are here well before. */
  upstreamAnswerSecondsMax: 20,
  upstreamPullConnectSecondsDefault: 5,
  upstreamPullHeadersSecondsDefault: 10,
  /** Blobs in transfer hold theirs, and the manifests of other images must not wait for them. */
  upstreamPullConnectionsDefault: 64,
  upstreamPullAttemptsMax: 2,
  upstreamPullBackoffMsMax: 500,
  upstreamPullRetryAfterSecondsMax: 2,
  /** Failures in a row after which an upstream is left alone, and for how long. */
  upstreamBreakerFailuresMax: 5,
  upstreamBreakerOpenSeconds: 10,
  /** After a 429 without Retry-After; each further one doubles it. */
  upstreamSuspensionSecondsMin: 10,
  /** Whatever Retry-After says: limits change, and somebody may have paid. */
  upstreamSuspensionSecondsMax: 3600,
  /** Refused logins in a row before a pause; registries lock accounts after a few more. */
  upstreamLoginRefusalsMax: 3,
  upstreamLoginPauseSeconds: 60,
  /** Regions of ECR that logins are kept for. */
  ecrLoginsMax: 64,
  /** A password this new that is refused is not replaced: what it may not see, no other one may. */
  ecrRefusalSecondsMin: 60,
  /** When there are no AWS credentials: looking for them takes seconds, and each pull would. */
  ecrFailureHoldsSeconds: 10,
  /** What Amazon's APIs answer to a login; a token has two kilobytes. */
  awsAnswerBytesMax: 1 * MiB,
  awsMessageLengthMax: 200,
  /** Requests that wait for their turn under `requests_per_second`. */
  upstreamTurnsWaitingMax: 256,
  upstreamFailureMessageLengthMax: 300,
} as const
