// What is found in containerd's configuration, and which lines it is told to have.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readContainerdConfig } from '../../../src/node-config/containerd-config.ts'
import { describeProblems } from '../../../src/node-config/containerd-problems.ts'
import { NodeRoot } from '../../../src/node-config/node-root.ts'
import { directoryWith } from '../../support/directory-with.ts'

const file = '/etc/containerd/config.toml'
const directory = '/etc/containerd/certs.d'
const one = '[plugins.cri.registry]\n'
const two = '[plugins."io.containerd.grpc.v1.cri".registry]\n'
const three = "[plugins.'io.containerd.cri.v1.images'.registry]\n"
const path = `config_path = "${directory}"\n`

type Files = Readonly<Record<string, string>>

const fine: readonly (readonly [what: string, files: Files])[] = [
  ['version 1', { 'config.toml': one + path }],
  ['version 2', { 'config.toml': `version = 2\n${two}${path}` }],
  ['version 3', { 'config.toml': `version = 3\n${three}${path}` }],
  ['version 4', { 'config.toml': `version = 4\n${three}${path}` }],
  ['a slash at the end', { 'config.toml': `version = 2\n${two}config_path = "${directory}/"\n` }],
  [
    'a list in version 2',
    { 'config.toml': `version = 2\n${two}config_path = "${directory}:/etc/docker/certs.d"\n` },
  ],
  [
    'a list in version 3 with local pulls',
    {
      'config.toml': `version = 3
[plugins."io.containerd.cri.v1.images"]
use_local_image_pull = true
${three}config_path = "/etc/docker/certs.d:${directory}"\n`,
    },
  ],
  [
    'an imported file',
    {
      'config.toml': 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n',
      'conf.d/10-other.toml': `version = 2\n${two}config_path = "/elsewhere"\n`,
      'conf.d/20-trow.toml': `version = 2\n${two}${path}`,
      'conf.d/30-no.txt': 'version = 2\n',
    },
  ],
  [
    'an import that has the plugin without it, in version 3',
    {
      'config.toml': `version = 3\nimports = ["conf.d/a.toml"]\n${three}${path}`,
      'conf.d/a.toml': 'version = 3\n[plugins."io.containerd.cri.v1.images"]\nx = 1\n',
    },
  ],
  [
    'a file that is imported by a relative path, and imports the first one',
    {
      'config.toml': 'version = 3\nimports = ["more.toml"]\n',
      'more.toml': `version = 3\nimports = ["config.toml"]\n${three}${path}`,
    },
  ],
]

const wrong: readonly (readonly [what: string, files: Files, problem: RegExp])[] = [
  ['no file', {}, /there is no \/etc\/containerd\/config\.toml[^]*version = 2\n[^]*grpc\.v1\.cri"/],
  [
    'an empty file',
    { 'config.toml': '' },
    /does not set config_path[^]*\[plugins\."cri"\.registry\]/,
  ],
  [
    'an empty setting',
    { 'config.toml': `version = 2\n${two}config_path = ""\n` },
    /does not set config_path[^]*config_path = "\/etc\/containerd\/certs\.d"$/,
  ],
  [
    'another directory',
    { 'config.toml': `version = 3\n${three}config_path = "/etc/certs"\n` },
    /config_path in \/etc\/containerd\/config\.toml is "\/etc\/certs"/,
  ],
  [
    'a list in version 3',
    { 'config.toml': `version = 3\n${three}config_path = "${directory}:/etc/docker/certs.d"\n` },
    /containerd 2\.1 and newer take for the name of one directory/,
  ],
  [
    'the plugin of version 2 in version 3',
    { 'config.toml': `version = 3\n${two}${path}` },
    /is of version 3 and has the setting below "io\.containerd\.grpc\.v1\.cri"[^]*cri\.v1\.images/,
  ],
  [
    'mirrors of the old kind',
    {
      'config.toml': `version = 2
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]
endpoint = ["https://mirror.gcr.io"]\n`,
    },
    /has registry\.mirrors, the old way/,
  ],
  [
    "Docker's package",
    { 'config.toml': 'disabled_plugins = ["cri"]\n' },
    /switches the CRI plugin off/,
  ],
  ['no TOML', { 'config.toml': 'version = = 2\n' }, /config\.toml is no valid TOML/],
  [
    'an import that has the plugin without it, for which containerd 1 forgets the rest',
    {
      'config.toml': `version = 2\nimports = ["conf.d/a.toml"]\n${two}${path}`,
      'conf.d/a.toml': 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nx = 1\n',
    },
    /conf\.d\/a\.toml has the plugin without it[^]*In \/etc\/containerd\/conf\.d\/a\.toml it needs/,
  ],
  [
    'a later import',
    {
      'config.toml': `version = 2\nimports = ["conf.d/a.toml"]\n${two}${path}`,
      'conf.d/a.toml': `version = 2\n${two}config_path = "/elsewhere"\n`,
    },
    /config_path in \/etc\/containerd\/conf\.d\/a\.toml is "\/elsewhere"/,
  ],
]

async function listProblems(root: string): Promise<string[]> {
  const config = await readContainerdConfig(new NodeRoot(root), file)
  return describeProblems(config, { file, directory })
}

function onNode(files: Files): Files {
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [`etc/containerd/${name}`, text]),
  )
}

describe('containerd reads our hosts.toml with', () => {
  for (const [what, files] of fine) {
    test(what, async (t) => {
      assert.deepEqual(await listProblems(await directoryWith(t, onNode(files))), [])
    })
  }
})

describe('containerd does not read our hosts.toml, and is told why, with', () => {
  for (const [what, files, problem] of wrong) {
    test(what, async (t) => {
      const problems = await listProblems(await directoryWith(t, onNode(files)))
      assert.match(problems.join('\n'), problem)
    })
  }
})
