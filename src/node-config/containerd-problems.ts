/** What keeps containerd from reading our `hosts.toml`, and what to write where so that it does. */
import { type ContainerdConfig, imagePlugins } from './containerd-config.ts'

interface Places {
  /** containerd's main configuration file. */
  readonly file: string
  /** Where our `hosts.toml` files are. */
  readonly directory: string
}

export function describeProblems(config: ContainerdConfig, places: Places): string[] {
  const problems = config.unreadable.map(
    (file) => `${file} is no valid TOML: containerd does not start with it`,
  )
  if (config.disabledIn !== undefined) {
    problems.push(
      `${config.disabledIn} switches the CRI plugin off (disabled_plugins), without which no kubelet ` +
        'can use containerd',
    )
  }
  const reason = findReason(config, places)
  if (reason !== undefined) {
    problems.push(
      `containerd does not read ${places.directory}: ${reason}.\n` +
        `In ${config.forgottenIn ?? places.file} it needs, before it is restarted:\n` +
        formatSetting(config, places),
    )
  }
  return problems
}

/** As it has to stand in the file. */
export function formatSetting(
  { version, plugin }: Pick<ContainerdConfig, 'version' | 'plugin'>,
  { directory }: Pick<Places, 'directory'>,
): string {
  const lines = [`[plugins."${plugin}".registry]`, `  config_path = "${directory}"`]
  if (version === undefined) lines.unshift('version = 2', '')
  return lines.map((line) => `  ${line}`.trimEnd()).join('\n')
}

function findReason(config: ContainerdConfig, { file, directory }: Places): string | undefined {
  const { configPath, misplacedIn, oldMirrors, version = 1 } = config
  if (configPath === undefined && oldMirrors !== undefined) {
    return `${oldMirrors} has registry.mirrors, the old way, which has to go for config_path`
  }
  if (configPath === undefined && misplacedIn !== undefined) {
    return (
      `${misplacedIn} is of version ${version} and has the setting below "${imagePlugins.two}", ` +
      'which is its name in version 2'
    )
  }
  if (configPath === undefined) {
    return config.version === undefined ? `there is no ${file}` : `${file} does not set config_path`
  }
  const value = configPath.directories.join(':')
  const where = `config_path in ${configPath.file} is "${value}"`
  if (!configPath.directories.includes(directory)) return where
  if (config.forgottenIn !== undefined) {
    return (
      `${where}, but ${config.forgottenIn} has the plugin without it, which is all that containerd 1 ` +
      'takes then'
    )
  }
  const isList = configPath.directories.length > 1
  if (!isList || config.isLocalPull || version < 3) return undefined
  return `${where}, which containerd 2.1 and newer take for the name of one directory`
}
