/** Asking other registries. */
const KiB = 1024
const MiB = 1024 * 1024

export const upstreamLimits = {
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
  /** Registries that connections are kept for; the one that was asked longest ago makes room. */
  upstreamClientsMax: 256,
  /** For a client that waits: containerd gives up after 30 s, so headers are here well before. */
  upstreamAnswerSecondsMax: 20,
  upstreamPullConnectSecondsDefault: 5,
  upstreamPullHeadersSecondsDefault: 10,
  upstreamPullConnectionsDefault: 64,
  /** Of them for blobs, which hold theirs: the manifests of other images must not wait for that. */
  upstreamTransfersShare: 0.75,
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
