// Forty spellings of images against fifteen rules, in each list: 1,200 judgements that a person has
// read. A rule's column is its place in the list; `+` allows, `-` denies, `.` leaves it to the default.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isAllowedBy, isDeniedBy } from './judge.ts'

const digest = `sha256:${'a'.repeat(64)}`

const rules = [
  'docker.io',
  'docker.io/library/',
  'docker.io/library/nginx',
  'quay.io',
  'quay.io/team',
  'quay.io/team/',
  'quay.io/team/app-',
  'quay.io/team/app:1.2',
  'quay.io/team/*',
  'quay.io/**/app',
  '*.example.com',
  '127.0.0.1',
  'registry.example.com:5000/',
  '**:1.2',
  'nginx',
]

/** `@D` stands for a digest. */
const table: [image: string, allow: string, deny: string][] = [
  ['nginx', '+++............', '---...........-'],
  ['nginx:1.2', '+++..........+.', '---..........--'],
  ['nginx:1.25', '+++............', '---..........--'],
  ['library/nginx', '+++............', '---...........-'],
  ['bitnami/nginx', '+..............', '-..............'],
  ['nginx-evil', '++.............', '---...........-'],
  ['nginx/evil', '+..............', '-..............'],
  ['docker.io/nginx@D', '+++............', '---...........-'],
  ['index.docker.io/nginx', '+++............', '---...........-'],
  ['docker.io:443/nginx', '+++............', '---...........-'],
  ['docker.io:5000/nginx', '...............', '-..............'],
  ['docker.io.evil.com/library/nginx', '...............', '-..............'],
  ['docker.iox/library/nginx', '...............', '-..............'],
  ['quay.io/team', '...++..........', '...--..........'],
  ['quay.io/team/app', '...+++..++.....', '...---..--.....'],
  ['quay.io/team/app:1.2', '...+++.+++...+.', '...---.---...-.'],
  ['quay.io/team/app:1.25', '...+++..++.....', '...---.---...-.'],
  ['quay.io/team/app:1.2@D', '...+++..++.....', '...---.---...-.'],
  ['quay.io/team/app@D', '...+++..++.....', '...---..--.....'],
  ['quay.io/team/app-evil', '...++++.+......', '...----.--.....'],
  ['quay.io/team/app/deep', '...+++.........', '...---..--.....'],
  ['quay.io/team/deep/app:1', '...+++...+.....', '...---..--.....'],
  ['quay.io/team-evil/app', '...+.....+.....', '...--....-.....'],
  ['quay.io/app', '...+.....+.....', '...-.....-.....'],
  ['Quay.io/team/app', '...+++..++.....', '...---..--.....'],
  ['quay.io:443/team/app', '...+++..++.....', '...---..--.....'],
  ['quay.io:8080/team/app', '...............', '...-...........'],
  ['quay.io.evil.com/team/app', '...............', '...-...........'],
  ['evil.com/quay.io/team/app', '...............', '...............'],
  ['registry.example.com/a', '..........+....', '..........-....'],
  ['registry.example.com:5000/a', '............+..', '..........-.-..'],
  ['registry.example.com:50000/a', '...............', '..........-....'],
  ['a.b.example.com/x/y', '..........+....', '..........-....'],
  ['example.com/x', '...............', '...............'],
  ['evil-example.com/x', '...............', '...............'],
  ['127.0.0.1/x', '...........+...', '...........-...'],
  ['127.0.0.1:31000/x', '...........+...', '...........-...'],
  ['127.0.0.11/x', '...............', '...........-...'],
  ['localhost:5000/x', '...............', '...............'],
  ['nginx.evil.com/x', '...............', '..............-'],
]

describe('rules and images', () => {
  for (const [short, allow, deny] of table) {
    test(short, () => {
      const image = short.replace('@D', `@${digest}`)
      const allowed = rules.map((rule) => (isAllowedBy([rule], image) ? '+' : '.'))
      const denied = rules.map((rule) => (isDeniedBy([rule], image) ? '-' : '.'))
      assert.equal(allowed.join(''), allow, 'allow')
      assert.equal(denied.join(''), deny, 'deny')
    })
  }
  test('what a rule allows it denies in the other list', () => {
    for (const [short, allow, deny] of table) {
      for (const [index, mark] of allow.split('').entries()) {
        if (mark === '+') assert.equal(deny[index], '-', `${short} ${rules[index]}`)
      }
    }
  })
})
