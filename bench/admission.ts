/**
 * Admission reviews on one core: reviews per second, p50 and p99 of a pod of ten containers under a
 * thousand rules, from the bytes that arrive to the bytes that leave; and the memory and the time of a
 * policy of a hundred thousand. `bin/node --expose-gc bench/admission.ts`
 */
import { cpus } from 'node:os'
import { Admission } from '../src/admission/admission.ts'
import { Policy } from '../src/admission/policy.ts'
import type { PolicySettings } from '../src/admission/policy-settings.ts'
import { limits } from '../src/config/limits.ts'

const reviewsWarmUp = 2_000
const reviewsMeasured = 20_000

/** Of ten rules one is a glob, one denies, the others allow; none of them is for what most pods have. */
function settings(rules: number): PolicySettings {
  const list = Array.from({ length: rules }, (_, index) => {
    const team = `registry-${index % 7}.example.com/team-${index % 97}`
    if (index % 10 === 0) return `${team}/*-${index}`
    if (index % 100 === 1) return `**/forbidden-${index}`
    return `${team}/app-${index}${index % 3 === 0 ? ':1.' : ''}`
  })
  return {
    default: 'Deny',
    allow: list.filter((_, index) => index % 10 !== 1).map((image) => ({ image })),
    deny: list.filter((_, index) => index % 10 === 1).map((image) => ({ image })),
    mode: 'enforce',
    requireDigest: false,
    validateWorkloads: 'warn',
    enforceAtPull: false,
    namespaces: [],
    exempt: { namespaces: [], users: [], groups: [], serviceAccounts: [] },
  }
}

/** As the API server sends it, with what a real pod has beside its images. */
function review(containers: number, isAllowed: boolean): Buffer {
  const team = (index: number): string => `registry-${index % 7}.example.com/team-${index % 97}`
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'web',
      namespace: 'shop',
      labels: { app: 'web' },
      managedFields: [{ manager: 'kubectl', fieldsV1: Object.fromEntries(fields(60)) }],
    },
    spec: {
      containers: Array.from({ length: containers }, (_, index) => ({
        name: `container-${index}`,
        image: isAllowed ? `${team(index + 2)}/app-${index + 2}:1.2.3` : `evil.io/app-${index}`,
        args: ['--port=8080', '--verbose'],
        env: fields(12).map(([name]) => ({ name, value: `the value of ${name}` })),
        resources: { limits: { cpu: '500m', memory: '128Mi' } },
        volumeMounts: [{ name: 'token', readOnly: true, mountPath: '/var/run/secrets' }],
      })),
    },
  }
  const request = {
    uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'shop',
    userInfo: { username: 'ann', groups: ['system:authenticated'] },
    object: pod,
    oldObject: null,
  }
  return Buffer.from(
    JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request }),
  )
}

function fields(count: number): [string, object][] {
  return Array.from({ length: count }, (_, index) => [`f:field-${index}`, { 'f:x': {} }])
}

function admission(rules: number): Admission {
  const bounds = { imagesMax: limits.reviewImagesMax, groupsMax: limits.reviewGroupsMax }
  return new Admission(new Policy(settings(rules), ['trow.example.com']), bounds)
}

function measure(name: string, rules: number, body: Buffer): void {
  const judge = admission(rules)
  const answer = (): string => JSON.stringify(judge.answer(body).answer)
  for (let run = 0; run < reviewsWarmUp; run++) answer()
  const times = new Float64Array(reviewsMeasured)
  const cpu = process.cpuUsage()
  for (let run = 0; run < reviewsMeasured; run++) {
    const started = performance.now()
    answer()
    times[run] = performance.now() - started
  }
  const { user, system } = process.cpuUsage(cpu)
  times.sort()
  const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(3)
  const perSecond = Math.round(reviewsMeasured / ((user + system) / 1e6))
  console.log(
    `${name}: ${perSecond} reviews per second of CPU, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`,
  )
}

function measureMemory(rules: number): void {
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  const started = performance.now()
  const judge = admission(rules)
  const seconds = ((performance.now() - started) / 1000).toFixed(2)
  globalThis.gc?.()
  const mebibytes = ((process.memoryUsage().heapUsed - before) / 2 ** 20).toFixed(1)
  console.log(`a policy of ${rules} rules: ${mebibytes} MiB of heap, made in ${seconds} s`)
  judge.answer(review(1, true))
}

const [cpu] = cpus()
console.log(`${cpu?.model ?? 'unknown CPU'}, node ${process.version}`)
const allowed = review(10, true)
console.log(`a pod of 10 containers, ${allowed.length} bytes`)
measure('1,000 rules, allowed', 1_000, allowed)
measure('1,000 rules, all ten denied', 1_000, review(10, false))
measure('100,000 rules, allowed', 100_000, allowed)
measureMemory(100_000)
