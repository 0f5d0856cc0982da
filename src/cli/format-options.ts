/** `--format`, and `--json` as the other commands have it. */
import { type Command, Option } from 'commander'

/** @param formats the first one is for people and goes without saying. */
export function addFormatOptions(command: Command, formats: readonly [string, 'json']): Command {
  const [first] = formats
  return command
    .addOption(new Option('--format <format>', 'how to print it').choices(formats).default(first))
    .addOption(new Option('--json', 'the same as --format json').implies({ format: 'json' }))
}
