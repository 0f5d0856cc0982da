// Admission reviews on one core, in this process: a pod of ten containers, from the bytes that arrive to
// the bytes that leave, under a thousand rules and under a hundred thousand; and what such a policy takes.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Admission } from '../src/admission/admission.ts'
import type { PolicySettings } from '../src/admission/policy-settings.ts'
import { Policy } from '../src/admission/policy.ts'
import { limits } from '../src/config/limits.ts'
import type { Bench, Benchmark, Outcome } from './harness/bench.ts'
import { percentile } from './harness/statistics.ts'

export const admission: Benchmark = {
  name: 'admission',
  title: 'Admission reviews',
  method:
    'A pod of 10 containers, 11 kB as JSON, reviewed again and again in one thread, from the bytes of the ' +
    'review to those of the answer. Of ten rules one is a glob and one denies. Reviews per second are of ' +
    "processor time. The policy's memory is what it adds to the heap.",
  run: measureAdmission,
}

const MiB = 1024 * 1024

interface Case {
  readonly name: string
  readonly rules: number
  readonly body: Buffer
}

interface Figures {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

function measureAdmission(bench: Bench): Promise<Outcome> {
  const cases: Case[] = [
    { name: 'allowed', rules: 1_000, body: review(10, true) },
    { name: 'all ten denied', rules: 1_000, body: review(10, false) },
    { name: 'allowed', rules: 100_000, body: review(10, true) },
  ]
  const figures = cases.map((one) => measureCase(bench, one))
  const policy = measurePolicy(100_000)
  const rows = cases.map(({ name, rules }, index) => [
    name,
    String(rules),
    figures[index]?.perSecond.toFixed(0) ?? '',
    figures[index]?.p50Ms.toFixed(3) ?? '',
    figures[index]?.p99Ms.toFixed(3) ?? '',
  ])
  const { perSecond = Number.NaN, p99Ms = Number.NaN } = figures[0] ?? {}
  return Promise.resolve({
    tables: [{ columns: ['review', 'rules', 'reviews/s', 'p50 ms', 'p99 ms'], rows }],
    aims: [
      { about: 'reviews under 1,000 rules', atLeast: 5_000, measured: perSecond, unit: '/s' },
      { about: 'p99 under 1,000 rules', atMost: 5, measured: p99Ms, unit: ' ms' },
      { about: 'heap of 100,000 rules', measured: policy.heapBytes / MiB, unit: ' MiB' },
      { about: 'making a policy of them', measured: policy.seconds, unit: ' s' },
    ],
  })
}

function measureCase({ isQuick, say }: Bench, { name, rules, body }: Case): Figures {
  say(`${name}, ${rules} rules`)
  const judge = admissionBy(rules)
  const answer = (): string => JSON.stringify(judge.answer(body).answer)
  // Code is compiled.
  for (let run = 0; run < (isQuick ? 20 : 2_000); run += 1) answer()
  const milliseconds: number[] = []
  const before = process.cpuUsage()
  for (let run = 0; run < (isQuick ? 200 : 20_000); run += 1) {
    const started = performance.now()
    answer()
    milliseconds.push(performance.now() - started)
  }
  const { user, system } = process.cpuUsage(before)
  return {
    perSecond: milliseconds.length / ((user + system) / 1e6),
    p50Ms: percentile(milliseconds, 50),
    p99Ms: percentile(milliseconds, 99),
  }
}

function measurePolicy(rules: number): { readonly heapBytes: number; readonly seconds: number } {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const before = process.memoryUsage().heapUsed
  const started = performance.now()
  const judge = admissionBy(rules)
  const seconds = (performance.now() - started) / 1000
  collect()
  const heapBytes = process.memoryUsage().heapUsed - before
  // It is needed until here.
  judge.answer(review(1, true))
  return { heapBytes, seconds }
}

function admissionBy(rules: number): Admission {
  const bounds = { imagesMax: limits.reviewImagesMax, groupsMax: limits.reviewGroupsMax }
  return new Admission(new Policy(settings(rules), ['trow.example.com']), bounds)
}

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
