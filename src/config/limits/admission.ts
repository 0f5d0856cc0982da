/** Which images may run: reviews and rules. */
const MiB = 1024 * 1024

export const admissionLimits = {
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

  // -- serving the webhooks
  /** All reviews that are being read and answered: 24 of the largest, hundreds of pods. */
  reviewBodiesBytesMax: 192 * MiB,
  /** How often the shared authority and the configurations of the webhooks are looked at. */
  authorityCheckSecondsDefault: 30,
  authorityCheckSecondsMin: 1,
  authorityCheckSecondsMax: 3600,
  /** Replaced when two thirds of it are over. */
  authorityLifetimeSeconds: 365 * 24 * 3600,
  webhookCertificateSeconds: 7 * 24 * 3600,
  /** Writes of the shared authority that another replica may be faster with. */
  authorityWritesMax: 5,
  kubernetesSecondsMax: 10,
  /** An object of etcd has 1.5 MiB at most. */
  kubernetesAnswerBytesMax: 4 * MiB,
  /** The same refusal is told once in this time. */
  eventRepeatSeconds: 300,
  eventsRememberedMax: 1_000,
  /** A controller that retries must not fill etcd. */
  eventsPerMinuteMax: 30,
  eventsAtOnceMax: 4,
} as const
