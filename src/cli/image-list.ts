/**
 * Lists of images as people and clusters have them: names in lines with comments, what
 * `kubectl get pods -o json` prints, and what its `jsonpath={..image}` does. Names are only found
 * here, not checked.
 */
import { isRecord } from '../oci/descriptor.ts'

/** Fields of a pod's specification that hold containers. */
const containerFields = ['containers', 'initContainers', 'ephemeralContainers'] as const

/** Each name once, in the order of their first appearance. */
export function parseImageList(text: string): string[] {
  const document = parseDocument(text)
  const names = document === undefined ? namesInText(text) : namesInDocument(document)
  return [...new Set(names)].filter((name) => !isImageId(name))
}

/** A container's status may have it in place of a name. It does not tell where the image is from. */
function isImageId(name: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(name)
}

function parseDocument(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    // Of jsonpath's output only the first word may be JSON.
    return undefined
  }
}

function namesInText(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const words = line.replace(/(^|\s)#.*$/, '').split(/\s+/)
    return words.filter((word) => word !== '').flatMap(nameOfWord)
  })
}

/** For jsonpath `{..image}` an image volume is an image, too: it prints all of its JSON. */
function nameOfWord(word: string): string[] {
  const document = word.startsWith('{') ? parseDocument(word) : undefined
  return isRecord(document) ? textOf(document['reference']) : [word]
}

/** Pods wherever they are: in a list, alone, or as the template of a workload. */
function namesInDocument(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => namesInDocument(item))
  if (!isRecord(value)) return []
  return [
    ...containerFields
      .flatMap((field) => recordsOf(value[field]))
      .flatMap((c) => textOf(c['image'])),
    ...recordsOf(value['volumes']).flatMap(nameOfVolume),
    ...Object.entries(value).flatMap(([key, inner]) =>
      key === 'status' || key === 'metadata' ? [] : namesInDocument(inner),
    ),
  ]
}

function nameOfVolume({ image }: Record<string, unknown>): string[] {
  return isRecord(image) ? textOf(image['reference']) : []
}

function recordsOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function textOf(value: unknown): string[] {
  return typeof value === 'string' && value !== '' ? [value] : []
}
