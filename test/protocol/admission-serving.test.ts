// How the webhook is served: who may call it, what it takes, how long it waits, what it logs and counts,
// and how its policy changes while it runs.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import {
  acceptAnswer,
  pod,
  podReview,
  type ReviewOptions,
  type SentReview,
} from '../support/admission.ts'
import { RawConnection } from '../support/raw-connection.ts'
import { type LogLine, type Registry, startRegistry } from '../support/start-registry.ts'

const json = { 'content-type': 'application/json' }

function policy(validation: object): string {
  return JSON.stringify({ image_validation: { default: 'Deny', ...validation } })
}

async function review(registry: Registry, sent: SentReview, headers = json) {
  const body = JSON.stringify(sent)
  const reply = await registry.request('POST', '/validate-image', {
    headers,
    body,
    anonymous: true,
  })
  assert.equal(reply.status, 200, reply.body.toString())
  return acceptAnswer(sent, reply.json())
}

async function isAllowed(registry: Registry, image: string): Promise<boolean> {
  return (await review(registry, podReview([image]))).allowed
}

test('it needs no login, as the API server has none', async () => {
  const user = { name: 'ann', password: 's3cret' }
  await using registry = await startRegistry({ user, config: policy({ allow: ['a.io'] }) })
  const body = JSON.stringify(podReview(['a.io/b']))
  for (const headers of [json, { ...json, authorization: 'Bearer nonsense' }]) {
    const options = { headers, body, anonymous: true }
    assert.equal((await registry.request('POST', '/validate-image', options)).status, 200)
  }
  assert.equal((await registry.request('GET', '/v2/', { anonymous: true })).status, 401)
})

test('without a policy every pod is denied, and deleting is not', async () => {
  await using registry = await startRegistry()
  const denied = await review(registry, podReview(['a.io/b']))
  assert.deepEqual([denied.allowed, denied.message], [false, 'Image validation not configured'])
  assert.ok((await review(registry, podReview(['a.io/b'], { operation: 'DELETE' }))).allowed)
  assert.match(registry.output(), /Image validation webhook not configured/)
})

describe('a request', () => {
  let registry: Registry
  const flags = ['--log-level', 'debug']

  before(async () => {
    registry = await startRegistry({ config: policy({ allow: ['a.io'] }), flags })
  })
  after(() => registry[Symbol.asyncDispose]())

  test('that no API server would send is told so by its status', async () => {
    const cases: [method: string, headers: Record<string, string>, status: number][] = [
      ['POST', {}, 415],
      ['POST', { 'content-type': 'text/plain' }, 415],
      ['POST', { 'content-type': 'application/jsonish' }, 415],
      ['GET', {}, 405],
      ['PUT', json, 405],
    ]
    for (const [method, headers, status] of cases) {
      const body = method === 'GET' ? {} : { body: '{}' }
      const reply = await registry.request(method, '/validate-image', { headers, ...body })
      assert.equal(reply.status, status, `${method} ${JSON.stringify(headers)}`)
      assert.deepEqual(reply.codes(), ['UNSUPPORTED'])
    }
    for (const type of ['application/json; charset=utf-8', 'Application/JSON']) {
      assert.ok((await review(registry, podReview(['a.io/b']), { 'content-type': type })).allowed)
    }
  })

  test('that comes in pieces is put together', async () => {
    const sent = podReview(['a.io/b'])
    async function* body(): AsyncGenerator<Uint8Array> {
      const bytes = Buffer.from(JSON.stringify(sent))
      for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100)
    }
    const reply = await registry.request('POST', '/validate-image', { headers: json, body: body() })
    assert.ok(acceptAnswer(sent, reply.json()).allowed)
  })

  test('that does not come in time is denied, with its uid, and the next one is answered', async () => {
    const sent = podReview(['a.io/b'])
    const text = JSON.stringify(sent)
    using connection = await RawConnection.open(registry.url)
    connection.writeHead('POST', '/validate-image?timeout=300ms', {
      ...json,
      'Content-Length': String(text.length),
    })
    connection.write(text.slice(0, 200))
    const reply = await connection.readReply()
    assert.equal(reply.status, 200)
    const { allowed, message, code } = acceptAnswer(sent, reply.json())
    assert.deepEqual([allowed, code], [false, 408])
    assert.match(message, /did not arrive within/)
    assert.ok(await isAllowed(registry, 'a.io/b'))
  })

  test("that breaks off is nobody's to answer, and the next one is answered", async () => {
    const connection = await RawConnection.open(registry.url)
    connection.writeHead('POST', '/validate-image', { ...json, 'Content-Length': '1000' })
    connection.write('{"kind":')
    await connection.flushed()
    connection.cut()
    await registry.logged((line) => line['status'] === 499)
    assert.ok(await isAllowed(registry, 'a.io/b'))
  })
})

function isDecision(decision: string): (line: LogLine) => boolean {
  return (line) => line['decision'] === decision
}

describe('the log', () => {
  const config = policy({ allow: ['a.io'], deny: ['a.io/secret'] })
  const options: ReviewOptions = { namespace: 'shop', user: 'ann', dryRun: true }

  test('has a line for each denial: who, what, where, and by which rule', async () => {
    await using registry = await startRegistry({ config })
    await review(registry, podReview(['a.io/x', 'a.io/secret', 'nginx'], options))
    const { level, msg, operation, kind, namespace, name, user, dryRun, images } =
      await registry.logged(isDecision('denied'))
    assert.deepEqual(
      { level, operation, kind, namespace, name, user, dryRun, images },
      {
        level: 'info',
        operation: 'CREATE',
        kind: 'Pod',
        namespace: 'shop',
        name: 'web',
        user: 'ann',
        dryRun: true,
        images: [
          {
            field: 'spec.containers[1].image',
            image: 'a.io/secret',
            judgedAs: ['a.io/secret:latest'],
            reason: 'Image explicitly denied',
            rule: 'image_validation.deny[0] a.io/secret',
          },
          {
            field: 'spec.containers[2].image',
            image: 'nginx',
            judgedAs: ['docker.io/library/nginx:latest'],
            reason: 'Image is neither explicitly allowed nor denied (using default behavior)',
          },
        ],
      },
    )
    assert.match(msg, /^admission denied: a\.io\/secret: Image explicitly denied \(/)
  })

  test('has what was allowed at level debug only', async () => {
    await using registry = await startRegistry({ config, flags: ['--log-level', 'debug'] })
    assert.ok(await isAllowed(registry, 'a.io/x'))
    const { level } = await registry.logged(isDecision('allowed'))
    assert.equal(level, 'debug')
  })
})

test('the metrics count decisions and hold nothing that a caller chose', async () => {
  await using registry = await startRegistry({ config: policy({ allow: ['a.io'] }) })
  await review(registry, podReview(['a.io/x']))
  await review(registry, podReview(['b.io/x']))
  await review(registry, podReview(['b.io/x'], { kind: 'Evil', operation: 'EVIL' }))
  await registry.request('POST', '/validate-image', { headers: json, body: 'x' })
  const text = (await registry.request('GET', '/metrics')).body.toString()
  const counts = [...text.matchAll(/^trow_admission_reviews_total\{(.*)\} (\d+)$/gm)].map(
    ([, labels = '', count]) => `${labels.replaceAll('"', '')} ${count}`,
  )
  assert.deepEqual(counts.toSorted(), [
    'decision=allowed,operation=CREATE,kind=Pod 1',
    'decision=denied,operation=CREATE,kind=Pod 1',
    'decision=denied,operation=other,kind=other 1',
    'decision=invalid,operation=other,kind=other 1',
  ])
  assert.match(text, /^trow_admission_duration_seconds_count 4$/m)
})

describe('a changed policy', { timeout: 60_000 }, () => {
  test('is in force without a restart, a broken one is not, and both are reported', async () => {
    await using registry = await startRegistry({ config: policy({ allow: ['a.io'] }) })
    const reload = async (config: string, message: string): Promise<LogLine> => {
      const from = registry.logLength
      await writeFile(registry.configFile, config)
      registry.signal('SIGHUP')
      return registry.logged((line) => line.msg === message, from)
    }
    const ok = async (): Promise<string | undefined> => {
      const { body } = await registry.request('GET', '/metrics')
      return /^trow_config_last_reload_successful (\d)$/m.exec(body.toString())?.[1]
    }
    assert.deepEqual(
      [await isAllowed(registry, 'a.io/x'), await isAllowed(registry, 'b.io/x')],
      [true, false],
    )

    await reload(policy({ allow: ['b.io'] }), 'configuration reloaded')
    assert.deepEqual(
      [await isAllowed(registry, 'a.io/x'), await isAllowed(registry, 'b.io/x')],
      [false, true],
    )

    const kept = 'configuration not reloaded, the previous one stays in force'
    const { problems } = await reload(policy({ allow: ['c.io/a**'], default: 'Allow' }), kept)
    assert.match(
      String(problems),
      /image_validation\.allow\[0\]\.image: "\*\*" stands for whole parts/,
    )
    assert.deepEqual(
      [await isAllowed(registry, 'a.io/x'), await isAllowed(registry, 'b.io/x')],
      [false, true],
    )
    assert.equal(await ok(), '0')

    const warned = registry.logLength
    await reload(policy({ allow: ['nginx'] }), 'configuration reloaded')
    await registry.logged(
      ({ msg }) => msg.includes('did you mean "docker.io/library/nginx"'),
      warned,
    )
    assert.equal(await ok(), '1')
    assert.ok(!(await isAllowed(registry, 'b.io/x')))

    await reload('{}', 'configuration reloaded')
    const { message } = await review(registry, podReview(['b.io/x'], { object: pod(['b.io/x']) }))
    assert.equal(message, 'Image validation not configured')
  })
})
