/** `trow upstreams [REGISTRY]`: how the other registries do that a running Trow pulls from. */
import { Command } from 'commander'
import { printable } from '../oci/upstream-error.ts'
import { addFormatOptions } from './format-options.ts'
import { explainFailure } from './registry-failure.ts'
import { addRegistryOptions, openTrow, type RegistryFlags } from './registry-options.ts'
import { parseTrowPlace, type RegistryPlace, trowPlaceDefault } from './registry-place.ts'
import { Table } from './table.ts'
import { processTerminal, type Terminal } from './terminal.ts'
import type { UpstreamsDocument } from './upstreams-document.ts'
import { failureLines, numericTitles, upstreamRows, upstreamTitles } from './upstreams-table.ts'

interface UpstreamsFlags extends RegistryFlags {
  readonly format: 'table' | 'json'
}

export function upstreamsCommand(terminal: Terminal = processTerminal): Command {
  const command = new Command('upstreams')
    .description('show how the registries do that a running Trow pulls from')
    .argument('[registry]', 'the Trow', trowPlaceDefault)
  addFormatOptions(command, ['table', 'json'])
  return addRegistryOptions(command).action(async (text: string, flags: UpstreamsFlags) => {
    try {
      await showUpstreams(parseTrowPlace(text), flags, terminal)
    } catch (error) {
      throw explainFailure(error, flags)
    }
  })
}

async function showUpstreams(
  place: RegistryPlace,
  flags: UpstreamsFlags,
  terminal: Terminal,
): Promise<void> {
  const { signal } = new AbortController()
  await using trow = await openTrow(place, flags, terminal, { signal, connectionsMax: 1 })
  const document = await trow.getUpstreams(signal)
  if (flags.format === 'json') terminal.write(`${JSON.stringify(document, undefined, 2)}\n`)
  else writeTable(document as unknown as UpstreamsDocument, place, terminal)
}

function writeTable(document: UpstreamsDocument, place: RegistryPlace, terminal: Terminal): void {
  const rows = upstreamRows(document)
  if (rows.length === 0) {
    const state = document.offline ? 'is offline and' : 'has asked no other registry yet, and'
    terminal.writeError(`${place.registry} ${state} names none in its configuration\n`)
    return
  }
  const table = new Table({
    titles: upstreamTitles,
    numeric: numericTitles,
    write: (text) => terminal.write(text),
    styleTitles: (text) => terminal.dim(text),
  })
  for (const row of rows) table.add(row)
  table.flush()
  const failures = failureLines(document)
  if (failures.length === 0) return
  terminal.write(`\n${terminal.dim('LAST FAILURES')}\n${failures.map(printable).join('\n')}\n`)
}
