/** The authority of a Trow that is reached over HTTPS, as a file that runtimes read. */
import type { NodeSettings, WantedFile } from './runtime.ts'

/** Every `*.crt` of a directory counts, so that ours needs no name that somebody else may use. */
export const authorityFile = 'trow-ca.crt'

/** @returns the file, or none where the runtime needs no authority. */
export function wantAuthority({ ca, mirrors }: NodeSettings, path: string): WantedFile[] {
  if (ca === undefined || !mirrors.some(({ isSecure }) => isSecure)) return []
  return [{ path, render: () => ca }]
}
