/** Which links may not be as the database has it: noted in the transaction that changes it. */
import type { LinkEntry } from './link-store.ts'

export interface LinkChange {
  /** Later ones have greater numbers. */
  readonly id: number
  /** The link as the database has it now. */
  readonly entry: LinkEntry
}

export interface LinkMetadata {
  /** Of the last change; 0 where there is none. */
  lastLinkChange(): Promise<number>
  /** In their order, after `after` and up to `upTo`, at most `limit` of them. */
  listLinkChanges(page: {
    readonly after: number
    readonly upTo: number
    readonly limit: number
  }): Promise<LinkChange[]>
  /** Once the links are as the database has it. */
  forgetLinkChanges(upTo: number): Promise<void>
  /** As if all manifests and tags had changed. */
  noteAllLinks(): Promise<void>
}
