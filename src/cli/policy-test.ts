/**
 * `trow policy test`: reviews images, or objects from a file, as the webhook would, and says of each
 * image what was decided, by which rule, and what the image was taken for.
 */
import type { AdmissionRequest } from '../admission/admission-request.ts'
import { findJudgedKind } from '../admission/judged-kinds.ts'
import { type Policy, reasons, type Scope } from '../admission/policy.ts'
import { type Decision, type Finding, type Review, reviewRequest } from '../admission/review.ts'
import { placeOf } from '../admission/rule-set.ts'
import { FileReader } from '../config/file-reader.ts'
import { limits } from '../config/limits.ts'
import { StartError } from '../lib/start-error.ts'
import { printable } from '../oci/upstream-error.ts'
import type { Host } from './host.ts'
import { parseObjects, type TestedObject } from './policy-objects.ts'
import type { Terminal } from './terminal.ts'
import { usageError } from './usage-error.ts'

export interface TestFlags {
  readonly file?: string
  readonly namespace?: string
  readonly user?: string
  readonly group?: readonly string[]
}

export interface PolicyTest {
  readonly policy: Policy | undefined
  readonly images: readonly string[]
  readonly flags: TestFlags
}

const bounds = { imagesMax: limits.reviewImagesMax }

/** @throws StartError with exit code 1 when something would be denied. */
export async function testPolicy(
  { policy, images, flags }: PolicyTest,
  host: Host,
  terminal: Terminal,
): Promise<void> {
  const tested = [
    ...(images.length > 0 ? [podOf(images)] : []),
    ...(flags.file === undefined ? [] : await readObjects(flags.file, terminal)),
  ]
  if (tested.length === 0) throw usageError('name images, or a file with -f')
  let denied = 0
  for (const object of tested) {
    const request = requestFor(object, flags)
    const review = isSent(object) ? reviewRequest(request, policy, bounds) : notSent
    const scope = policy?.findScope(request.namespace)
    for (const line of describe(object, request, review, scope)) host.write(`${line}\n`)
    if (review.decision === 'denied') denied += Math.max(1, review.refused.length)
  }
  if (denied > 0) {
    const advice = policy === undefined ? '; name the file that has image_validation with -c' : ''
    const what = denied === 1 ? '1 image is denied' : `${denied} images are denied`
    throw new StartError(`${what}${advice}`)
  }
}

/** A file may hold Services and other things that the API server does not ask about. */
function isSent({ group, kind }: TestedObject): boolean {
  return findJudgedKind(group, kind) !== undefined
}

const notSent: Review = { decision: 'unjudged', findings: [], refused: [] }

/** What is on the command line is judged as one pod. */
function podOf(images: readonly string[]): TestedObject {
  const containers = images.map((image) => ({ image }))
  return { group: '', kind: 'Pod', object: { spec: { containers } } }
}

async function readObjects(file: string, terminal: Terminal): Promise<TestedObject[]> {
  const bytesMax = limits.reviewBytesMax
  if (file === '-') {
    const bytes = await terminal.readInput(bytesMax)
    if (bytes.length > bytesMax) throw new StartError(`the input has more than ${bytesMax} bytes`)
    return parseObjects('standard input', bytes.toString())
  }
  const read = await new FileReader().read(file, bytesMax)
  if ('problem' in read) throw new StartError(`the file ${file} ${read.problem}`)
  return parseObjects(file, read.text)
}

function requestFor(tested: TestedObject, flags: TestFlags): AdmissionRequest {
  const { group, kind, object, name } = tested
  return {
    uid: '',
    apiVersion: 'admission.k8s.io/v1',
    group,
    kind,
    subResource: '',
    operation: 'CREATE',
    namespace: flags.namespace ?? tested.namespace ?? 'default',
    ...(name !== undefined && { name }),
    ...(flags.user !== undefined && { user: flags.user }),
    groups: flags.group ?? [],
    isDryRun: true,
    object,
    oldObject: null,
  }
}

const words: Readonly<Record<Decision, string>> = {
  allowed: 'allowed',
  denied: 'denied',
  warned: 'warned',
  audited: 'audited',
  exempt: 'exempt',
  unjudged: 'not judged',
}

function* describe(
  { kind, name }: TestedObject,
  { namespace = '' }: AdmissionRequest,
  review: Review,
  scope: Scope | undefined,
): Generator<string> {
  const { decision, findings, reason } = review
  const isNamed = name !== undefined
  if (isNamed) yield printable(`${kind} ${namespace}/${name}: ${words[decision]}`)
  if (reason !== undefined || findings.length === 0) {
    const because = reason ?? 'it names no image that is judged'
    yield printable(isNamed ? `  ${because}` : `${words[decision]}: ${because}`)
  }
  for (const finding of findings) {
    const lines = describeFinding(finding, finding.isAllowed ? 'allowed' : decision, scope)
    for (const line of lines) yield printable(isNamed ? `  ${line}` : line)
    if (isNamed) yield `    in ${printable(finding.field)}`
  }
}

function describeFinding(finding: Finding, decision: Decision, scope: Scope | undefined): string[] {
  const { image, reason, detail, names } = finding
  const [name, ...others] = names
  return [
    `${words[decision]}  ${image ?? '(no image)'}: ${reason}`,
    ...(detail === undefined ? [] : [`  ${detail}`]),
    ...(name === undefined ? [] : [`  judged as ${name}`]),
    ...others.map((other) => `  which stands for ${other}`),
    ...(name === undefined ? [] : [`  by ${describeGround(finding, scope)}`]),
  ]
}

function describeGround({ rule, reason }: Finding, scope: Scope | undefined): string {
  if (rule !== undefined) return `${placeOf(rule)}: ${JSON.stringify(rule.rule.image)}`
  const section = scope?.section ?? ''
  if (reason === reasons.noDigest) return `require_digest, as ${section} has it`
  return `default: no rule fits, and the default of ${section} is ${scope?.default}`
}
