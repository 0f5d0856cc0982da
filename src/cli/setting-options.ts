/** The flags of the settings, as commander's options with help, and their values read back. */
import { type Command, Option } from 'commander'
import { formatPath } from '../config/layer.ts'
import { schemaKeys } from '../config/schema-keys.ts'
import { environmentName, longFlag, type Setting, settings } from '../config/settings.ts'
import type { FlagValues } from '../config/sources.ts'

/** @param except long flags that the command does not have */
export function addSettingOptions(command: Command, except: readonly string[] = []): Command {
  for (const setting of settings as readonly Setting[]) {
    if (!except.includes(longFlag(setting))) command.addOption(makeOption(setting))
  }
  return command
}

export function readFlags(command: Command): FlagValues {
  const values = command.options.map((option): [string, unknown] => [
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
