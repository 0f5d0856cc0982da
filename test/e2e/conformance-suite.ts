// The OCI distribution specification's own conformance suite as a function: runs it against a
// registry with everything on that a registry may have, and counts what it says of each test.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freshDirectory, runClient, type Registry } from '../support/clients.ts'

interface ConformanceCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly errors: number
  /** The lines of its report about tests that did not pass. */
  readonly problems: string
}

export interface ConformanceResult extends ConformanceCounts {
  /** What each API and kind of data got, in the suite's words; `Pass` unless something is wrong. */
  readonly verdicts: ReadonlyMap<string, string>
}

/** What a repository that cannot be pushed to is asked for. */
interface ReadOnlyData {
  readonly repository: string
  readonly tags: readonly string[]
  /** Digests, as are the others. */
  readonly manifests: readonly string[]
  readonly blobs: readonly string[]
  readonly subjects: readonly string[]
}

/** What the suite leaves off, or may leave off some day, unless it is told otherwise. */
const everythingOn = {
  OCI_API_PING: 'true',
  OCI_API_PULL: 'true',
  OCI_API_PUSH: 'true',
  OCI_API_BLOBS_ATOMIC: 'true',
  OCI_API_BLOBS_DELETE: 'true',
  OCI_API_BLOBS_DIGEST_HEADER: 'true',
  OCI_API_BLOBS_MOUNT_ANONYMOUS: 'true',
  OCI_API_BLOBS_UPLOAD_CANCEL: 'true',
  OCI_API_MANIFESTS_ATOMIC: 'true',
  OCI_API_MANIFESTS_DELETE: 'true',
  OCI_API_MANIFESTS_DIGEST_HEADER: 'true',
  OCI_API_MANIFESTS_TAG_PARAM: 'true',
  OCI_API_TAGS_ATOMIC: 'true',
  OCI_API_TAGS_DELETE: 'true',
  OCI_API_TAGS_LIST: 'true',
  OCI_API_REFERRER: 'true',
  OCI_DATA_IMAGE: 'true',
  OCI_DATA_INDEX: 'true',
  OCI_DATA_INDEX_LIST: 'true',
  // A manifest whose children are missing is refused, which is the opposite of this one.
  OCI_DATA_SPARSE: 'false',
  OCI_DATA_ARTIFACT: 'true',
  OCI_DATA_SUBJECT: 'true',
  OCI_DATA_SUBJECT_MISSING: 'true',
  OCI_DATA_ARTIFACT_LIST: 'true',
  OCI_DATA_SUBJECT_LIST: 'true',
  OCI_DATA_DATA_FIELD: 'true',
  OCI_DATA_NONDISTRIBUTABLE: 'true',
  OCI_DATA_CUSTOM_FIELDS: 'true',
  OCI_DATA_NO_LAYERS: 'true',
  OCI_DATA_EMPTY_BLOB: 'true',
  OCI_DATA_SHA512: 'true',
} as const

/** What is off on purpose, as the suite's verdicts name it. */
export const disabledData = 'Sparse Manifests'

/**
 * Runs the suite; a failed test is a result, not an error.
 * @param version `stable` is the released specification, `dev` its main branch.
 */
export async function runConformance(
  registry: Registry,
  version: 'stable' | 'dev',
): Promise<ConformanceResult> {
  const results = await freshDirectory(registry, 'conformance')
  const report = await runSuite(registry, {
    OCI_REPO1: 'conformance/one',
    OCI_REPO2: 'conformance/two',
    OCI_VERSION: version,
    OCI_RESULTS_DIR: results,
  })
  const junit = await readFile(join(results, 'junit.xml'), 'utf8')
  const count = (name: string): number =>
    Number(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`).exec(junit)?.[1] ?? 0)
  const [failed, skipped, errors] = [count('failures'), count('skipped'), count('errors')]
  const yaml = await readFile(join(results, 'results.yaml'), 'utf8')
  const verdicts = yaml.slice(yaml.indexOf('\napis:')).matchAll(/^ {2}(.+): (\w+)$/gm)
  return {
    // An outcome without tests is left out of the file.
    passed: count('tests') - failed - skipped - errors - count('disabled'),
    failed,
    skipped,
    errors,
    verdicts: new Map(Array.from(verdicts, ([, name = '', verdict = '']) => [name, verdict])),
    problems: problemsOf(report),
  }
}

/**
 * Runs the suite where nothing can be pushed or deleted, on content that is there.
 * The counts are those of its printed report: in this mode it crashes while it writes the files.
 */
export async function runReadOnlyConformance(
  registry: Registry,
  version: 'stable' | 'dev',
  data: ReadOnlyData,
): Promise<ConformanceCounts> {
  const report = await runSuite(registry, {
    OCI_REPO1: data.repository,
    OCI_REPO2: data.repository,
    OCI_VERSION: version,
    OCI_RESULTS_DIR: await freshDirectory(registry, 'conformance'),
    OCI_API_PUSH: 'false',
    OCI_API_BLOBS_DELETE: 'false',
    OCI_API_MANIFESTS_DELETE: 'false',
    // In this mode it looks for the header in an answer that it has not kept.
    OCI_API_MANIFESTS_DIGEST_HEADER: 'false',
    OCI_API_TAGS_DELETE: 'false',
    OCI_RO_DATA_TAGS: data.tags.join(' '),
    OCI_RO_DATA_MANIFESTS: data.manifests.join(' '),
    OCI_RO_DATA_BLOBS: data.blobs.join(' '),
    OCI_RO_DATA_REFERRERS: data.subjects.join(' '),
  })
  const count = (name: string): number => {
    const found = new RegExp(`^ +${name}\\.*: +(\\d+)$`, 'm').exec(report)?.[1]
    if (found === undefined) throw new Error(`the suite does not count ${name}: ${report}`)
    return Number(found)
  }
  return {
    passed: count('Pass'),
    failed: count('FAIL'),
    skipped: count('Skip'),
    errors: count('Error'),
    problems: problemsOf(report),
  }
}

function problemsOf(report: string): string {
  return report
    .slice(0, report.indexOf('Configuration:'))
    .split('\n')
    .filter((line) => line.trim() !== '' && !/: (?:Pass|Disabled)$/.test(line))
    .join('\n')
}

/** The suite exits with 1 when a test failed, and says which on its stdout all the same. */
async function runSuite(registry: Registry, settings: NodeJS.ProcessEnv): Promise<string> {
  const all = {
    ...everythingOn,
    OCI_REGISTRY: registry.registry,
    OCI_TLS: registry.tls ? 'enabled' : 'disabled',
    OCI_USERNAME: registry.auth?.username ?? '',
    OCI_PASSWORD: registry.auth?.password ?? '',
    OCI_LOG: 'error',
    ...settings,
  }
  try {
    return await runClient('conformance', [], registry, all)
  } catch (error) {
    const { stdout } = (error as Error).cause as { stdout?: string }
    if (!stdout?.includes('Test results')) throw error
    return stdout
  }
}
