import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { runProgram } from '../../../src/cli/program.ts'
import { StartError } from '../../../src/lib/start-error.ts'
import { directoryWith } from '../../support/directory-with.ts'
import { FakeHost } from './fake-host.ts'

const guide = `image_validation:
  default: Deny
  allow:
    - my-trow-domain.trow.io/
    - k8s.gcr.io/
    - nginx
  deny:
    - my-trow-domain.trow.io/my-secret-image
    - {image: "**:latest", message: name a version}
  namespaces:
    - names: [team-*]
      mode: warn
      allow: [quay.io]
  exempt:
    users: ["system:node:*"]
    groups: [operators]
`

const objects = `# two of them
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers: [{image: k8s.gcr.io/pause:3.1}]
  initContainers: [{image: evil.io/a:1}]
---
apiVersion: v1
kind: List
items:
  - {apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {spec: {containers: [{image: evil.io/x:1}]}}}}
  - {apiVersion: v1, kind: Service, metadata: {name: s}}
`

interface Ending {
  readonly out: string
  readonly errors: string
  readonly code: number
  readonly message: string
}

async function run(t: TestContext, args: string[], config = guide): Promise<Ending> {
  const directory = await directoryWith(t, { 'trow.yaml': config, 'objects.yaml': objects })
  const host = new FakeHost()
  const words = args.map((arg) => arg.replace('DIR', directory))
  try {
    await runProgram([...words, '-c', join(directory, 'trow.yaml')], host, () => {
      throw new Error('nothing is to be started here')
    })
    return { out: host.out, errors: host.errors, code: 0, message: '' }
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    return { out: host.out, errors: host.errors, code: error.exitCode, message: error.message }
  }
}

describe('trow policy test', () => {
  test('says of each image what is decided and by which rule; exit code 1 for a denied one', async (t) => {
    const images = ['k8s.gcr.io/pause:3', 'nginx', 'evil.io/a:1', 'A b']
    const { out, code, message } = await run(t, ['policy', 'test', ...images])
    assert.deepEqual(out.split('\n'), [
      'allowed  k8s.gcr.io/pause:3: Image explicitly allowed',
      '  judged as k8s.gcr.io/pause:3',
      '  by image_validation.allow[1]: "k8s.gcr.io/"',
      'denied  nginx: Image explicitly denied: name a version',
      '  judged as docker.io/library/nginx:latest',
      '  by image_validation.deny[1]: "**:latest"',
      'denied  evil.io/a:1: Image is neither explicitly allowed nor denied (using default behavior)',
      '  judged as evil.io/a:1',
      '  by default: no rule fits, and the default of image_validation is Deny',
      'denied  A b: Invalid image reference',
      '  invalid repository name: it must be lower case',
      '',
    ])
    assert.deepEqual([code, message], [1, '3 images are denied'])
  })

  test('ends with 0 when all may run', async (t) => {
    const { code, errors } = await run(t, ['policy', 'test', 'k8s.gcr.io/a:1'])
    assert.equal(code, 0)
    assert.match(errors, /allow\[2\]: "nginx" fits no image: .*"docker\.io\/library\/nginx"\?\n$/)
  })

  test('takes the names of the registry, and says what an image stands for', async (t) => {
    const image = 'my-trow-domain.trow.io/f/evil.io/a:1'
    const { out } = await run(t, ['policy', 'test', '--hostname', 'my-trow-domain.trow.io', image])
    assert.match(out, /^denied .*\n {2}judged as my-trow.*\n {2}which stands for evil\.io\/a:1\n/)
  })

  test('judges in a namespace, and for a user', async (t) => {
    const test = async (...flags: string[]) =>
      (await run(t, ['policy', 'test', ...flags, 'quay.io/a:1', 'evil.io/a:1'])).out
    assert.match(await test(), /^denied {2}quay\.io.*\n[^]*\ndenied {2}evil\.io/)
    assert.match(await test('-n', 'team-a'), /^allowed {2}quay\.io.*\n[^]*\nwarned {2}evil\.io/)
    assert.match(await test('--user', 'system:node:n1'), /^exempt: image_validation\.exempt\.users/)
    const groups = ['--group', 'others', '--group', 'operators']
    assert.match(await test(...groups), /^exempt: image_validation\.exempt\.groups\[0\]\n/)
  })

  test('reads objects from a file, several documents and lists', async (t) => {
    const { out, code, message } = await run(t, ['policy', 'test', '-f', 'DIR/objects.yaml'])
    const heads = out.split('\n').filter((line) => /^\S/.test(line))
    assert.deepEqual(heads, [
      'Pod shop/web: denied',
      'Deployment default/d: warned',
      'Service default/s: not judged',
    ])
    assert.match(
      out,
      /\n {2}denied {2}evil\.io\/a:1: .*\n.*\n.*\n {4}in spec\.initContainers\[0\]\.image\n/,
    )
    assert.deepEqual([code, message], [1, '1 image is denied'])
  })

  const wrong: [args: string[], message: RegExp, code: number][] = [
    [[], /^name images, or a file with -f$/, 2],
    [['-f', '/no-such-file'], /does not exist/, 1],
    [['-f', 'DIR/trow.yaml'], /trow\.yaml:1:1: expected an object with apiVersion and kind$/, 2],
  ]
  for (const [args, expected, exitCode] of wrong) {
    test(`ends with ${exitCode}: trow policy test ${args.join(' ')}`, async (t) => {
      const { code, message } = await run(t, ['policy', 'test', ...args])
      assert.match(message, expected)
      assert.equal(code, exitCode)
    })
  }

  test('says that nothing may run where nothing is configured', async (t) => {
    const { out, code, message } = await run(t, ['policy', 'test', 'a.io/b'], '')
    assert.deepEqual([out, code], ['denied: Image validation not configured\n', 1])
    assert.match(message, /name the file that has image_validation with -c$/)
  })
})

describe('trow policy explain', () => {
  test('prints the rules in the order in which they decide, and those that do nothing', async (t) => {
    const { out, code } = await run(t, ['policy', 'explain'])
    assert.equal(code, 0)
    assert.deepEqual(out.split('\n'), [
      'Mode: enforce, what may not run is refused',
      'Digests: not required',
      'Deployments and the like: warned of when their pods would be refused',
      'Pulls: not judged',
      'Not judged, users: system:node:*',
      'Not judged, groups: operators',
      '',
      'In all namespaces but those below, the first rule that fits decides:',
      '  deny   **:latest…  # image_validation.deny[1] (name a version)',
      '  deny   my-trow-domain.trow.io/my-secret-image…  # image_validation.deny[0]',
      '  allow  my-trow-domain.trow.io/…  # image_validation.allow[0]',
      '  allow  k8s.gcr.io/…  # image_validation.allow[1]',
      '  deny   everything else',
      '',
      'In the namespaces team-*:',
      '  Mode: warn, what may not run is let through with a warning',
      '  deny   **:latest…  # image_validation.deny[1] (name a version)',
      '  deny   my-trow-domain.trow.io/my-secret-image…  # image_validation.deny[0]',
      '  allow  my-trow-domain.trow.io/…  # image_validation.allow[0]',
      '  allow  k8s.gcr.io/…  # image_validation.allow[1]',
      '  allow  quay.io/…  # image_validation.namespaces[0].allow[0]',
      '  deny   everything else',
      '',
      'Probably not as it is meant:',
      '  image_validation.allow[2]: "nginx" fits no image: images are judged by their full names, ' +
        'which begin with the registry; did you mean "docker.io/library/nginx"?',
      '',
    ])
  })

  test('says where a rule goes on', async (t) => {
    const rules = '[127.0.0.1, quay.io/team, quay.io/a-, "quay.io/b:1", "*.example.com"]'
    const { out } = await run(
      t,
      ['policy', 'explain'],
      `image_validation: {default: Deny, allow: ${rules}}`,
    )
    assert.deepEqual(
      out.match(/^ {2}allow .*(?= {2}#)/gm)?.map((line) => line.slice(9)),
      [
        'quay.io/team and quay.io/team/…',
        '*.example.com',
        'quay.io/b:1',
        'quay.io/a-…',
        '127.0.0.1[:port]/…',
      ],
    )
    assert.match(out, /^In all namespaces, the first rule that fits decides:$/m)
  })

  test('says what happens without a policy', async (t) => {
    const { out } = await run(t, ['policy', 'explain'], '')
    assert.equal(out, 'Image validation is not configured: every review of a pod is denied.\n')
  })
})

describe('trow policy export', () => {
  test('prints two objects to apply, and what they do otherwise', async (t) => {
    const { out, code } = await run(t, ['policy', 'export'])
    assert.equal(code, 0)
    assert.match(
      out,
      /^# Made by `trow policy export`\. Otherwise than in the webhook:\n# {3}- only pods/,
    )
    assert.deepEqual(
      parseAllDocuments(out).map((document) => (document.toJS() as { kind: string }).kind),
      ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'],
    )
  })
  test('refuses what does not fit into CEL, and what is not there', async (t) => {
    const rules = Array.from({ length: 3_000 }, (_, index) => `r.example.com/a${index}`).join(', ')
    const large = await run(
      t,
      ['policy', 'export'],
      `image_validation: {default: Deny, allow: [${rules}]}`,
    )
    assert.deepEqual([large.code, large.out], [1, ''])
    assert.match(large.message, /^the policy is too long for CEL: \d+ characters/)
    const none = await run(t, ['policy', 'export'], '')
    assert.deepEqual([none.code, none.message], [1, 'image_validation is not configured'])
  })
})

describe('trow policy with anything else', () => {
  const cases: [args: string[], message: string][] = [
    [[], 'commands are test, explain, export'],
    [['tst'], "unknown command 'tst'; did you mean test?"],
  ]
  for (const [args, expected] of cases) {
    test(`trow policy ${args.join(' ')}`, async () => {
      await assert.rejects(
        runProgram(['policy', ...args], new FakeHost(), () => {
          throw new Error('nothing is to be started here')
        }),
        { message: expected },
      )
    })
  }
})
