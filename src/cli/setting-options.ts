/** The flags of the settings, as commander's options with help, and their values read back. */
import { type Command, Option } from 'commander'
import { formatPath } from '../config/layer.ts'
import { schemaKeys } from '../config/schema-keys.ts'
import {
  configurationGroup,
  environmentName,
  longFlag,
  type Setting,
  settings,
} from '../config/settings.ts'
import type { FlagValues } from '../config/sources.ts'

/** @param except long flags that the command does not have */
export function addSettingOptions(command: Command, except: readonly string[] = []): Command {
  for (const setting of settings as readonly Setting[]) {
    if (!except.includes(longFlag(setting))) command.addOption(makeOption(setting))
  }
  return command
}

/** The options that say where the configuration is, for commands that only look at a part of it. */
export function addConfigOptions(command: Command): Command {
  for (const setting of settings as readonly Setting[]) {
    const { short: _, ...long } = setting
    if (setting.group === configurationGroup && longFlag(setting) !== '--dry-run') {
      command.addOption(makeOption(setting))
    }
    // Names of the registry are part of what a policy means; `-n` is the namespace here.
    if (longFlag(setting) === '--hostname') command.addOption(makeOption(long))
  }
  return command
}

/** @param except long flags that are the command's own, and no settings. */
export function readFlags(command: Command, except: readonly string[] = []): FlagValues {
  const options = command.options.filter(({ long }) => !except.includes(long ?? ''))
  const values = options.map((option): [string, unknown] => [
    option.long ?? '',
    command.getOptionValue(option.attributeName()),
  ])
  return new Map(values.filter(([, value]) => value !== undefined)) as FlagValues
}

function makeOption(setting: Setting): Option {
  const { flag, short, kind, group } = setting
  const flags = short === undefined ? flag : `${short}, ${flag}`
  const option = new Option(flags, describe(setting)).helpGroup(group)
  if (kind !== 'list') return option
  return option.argParser((value: string, before?: string[]) => [...(before ?? []), value])
}

function describe(setting: Setting): string {
  const facts = schemaKeys.find(({ path }) => path === formatPath(setting.key ?? []))?.facts
  const { initial } = facts ?? {}
  const shown = typeof initial === 'string' && initial !== '' ? `; default: ${initial}` : ''
  const sentence = facts?.description ?? ''
  const text = setting.description ?? `${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`
  return `${text} (${environmentName(setting)}${shown})`
}
