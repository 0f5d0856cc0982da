/**
 * A mark in a data directory whose database is being made, by a restore or from what is on disk: until that
 * is done nobody may use it, or content that the database does not know of yet would be lost.
 */
import { readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory, writeFileDurably } from '../../lib/durable.ts'
import { StartError } from '../../lib/start-error.ts'
import { isMissing } from './file-error.ts'
import type { DataLayout } from './layout.ts'

/** @param by the command that is under way. */
export async function markIncomplete(layout: DataLayout, by: string): Promise<void> {
  await writeFileDurably(layout.incomplete, `${JSON.stringify({ by })}\n`)
}

export async function markComplete(layout: DataLayout): Promise<void> {
  await rm(layout.incomplete, { force: true })
  await syncDirectory(dirname(layout.incomplete))
}

export async function isMarkedBy(layout: DataLayout, command: string): Promise<boolean> {
  const text = await readFile(layout.incomplete, 'utf8').catch(() => '')
  return text.includes(JSON.stringify(command))
}

/** @throws StartError which says what to do. */
export async function refuseIncomplete(layout: DataLayout): Promise<void> {
  let text: string
  try {
    text = await readFile(layout.incomplete, 'utf8')
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  const by = /"by":"([^"\\]{1,100})"/.exec(text)?.[1] ?? 'the command that began it'
  throw new StartError(
    `data directory ${layout.root} is not complete: ${by} did not finish; nothing was changed: run it again`,
  )
}
