/** The answer of the referrers API: an image index (specification, "Listing Referrers"). */
import { type Descriptor, isRecord, parseDescriptor } from '../oci/descriptor.ts'
import { OciError } from '../oci/errors.ts'

export interface UpstreamReferrer extends Descriptor {
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** Entries that are no descriptors are left out: they could not be fetched. */
export function parseReferrers(index: unknown): UpstreamReferrer[] {
  if (!isRecord(index) || !Array.isArray(index['manifests'])) return []
  return index['manifests'].flatMap((entry: unknown) => {
    const descriptor = tryParseDescriptor(entry)
    if (descriptor === undefined || !isRecord(entry)) return []
    const { artifactType, annotations } = entry
    return {
      ...descriptor,
      ...(typeof artifactType === 'string' && { artifactType }),
      ...(isRecord(annotations) && { annotations: textsOf(annotations) }),
    }
  })
}

function tryParseDescriptor(value: unknown): Descriptor | undefined {
  try {
    return parseDescriptor(value, 'manifests')
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}

function textsOf(annotations: Record<string, unknown>): Record<string, string> {
  const texts = Object.entries(annotations).filter(([, value]) => typeof value === 'string')
  return Object.fromEntries(texts) as Record<string, string>
}
