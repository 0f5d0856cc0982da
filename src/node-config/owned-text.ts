/**
 * How a file of ours is known again: by its first line, a comment in every format that we write (TOML,
 * YAML, and PEM, which ignores what is outside its blocks). A second line remembers directories that
 * were made for the file, so that they go with it.
 */

const mark = '# Written by "trow node-config"'
const firstLine = `${mark}: changes are overwritten; "trow node-config uninstall" takes it away.`
const directoryMark = '# Made for it, from this directory on: '

export interface Owned {
  readonly body: string
  /** The topmost directory that was made for the file. */
  readonly madeDirectory?: string
}

/** @returns undefined for what somebody else wrote. */
export function parseOwned(text: string): Owned | undefined {
  if (!text.startsWith(mark)) return undefined
  const [, ...rest] = text.split('\n')
  const [second = ''] = rest
  if (!second.startsWith(directoryMark)) return { body: rest.join('\n') }
  return { body: rest.slice(1).join('\n'), madeDirectory: second.slice(directoryMark.length) }
}

export function formatOwned({ body, madeDirectory }: Owned): string {
  const second = madeDirectory === undefined ? '' : `${directoryMark}${madeDirectory}\n`
  return `${firstLine}\n${second}${body}`
}
