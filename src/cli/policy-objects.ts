/** Kubernetes objects from a file: several YAML documents, and lists of objects in them. */
import { LineCounter, parseAllDocuments } from 'yaml'
import { fieldOf, isObject } from '../admission/admission-request.ts'
import { usageError } from './usage-error.ts'

export interface TestedObject {
  /** Of the API: empty for `v1`. */
  readonly group: string
  readonly kind: string
  readonly name?: string
  readonly namespace?: string
  readonly object: unknown
}

/** @throws StartError with exit code 2 for what holds no objects. */
export function parseObjects(file: string, text: string): TestedObject[] {
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })
  if (!Array.isArray(documents)) throw usageError(`${file} holds no objects`)
  return documents.flatMap((document) => {
    const [error] = document.errors
    const { line, col } = lines.linePos(error?.pos[0] ?? document.range[0])
    if (error !== undefined) throw usageError(`${file}:${line}:${col}: ${error.message}`)
    const value: unknown = document.toJS()
    return value === null ? [] : objectsIn(value, `${file}:${line}:${col}`)
  })
}

function objectsIn(value: unknown, place: string): TestedObject[] {
  const kind = fieldOf(value, 'kind')
  const apiVersion = fieldOf(value, 'apiVersion')
  if (!isObject(value) || typeof kind !== 'string' || typeof apiVersion !== 'string') {
    throw usageError(`${place}: expected an object with apiVersion and kind`)
  }
  const items = fieldOf(value, 'items')
  if (kind.endsWith('List') && Array.isArray(items)) {
    return (items as readonly unknown[]).flatMap((item) => objectsIn(item, place))
  }
  const metadata = fieldOf(value, 'metadata')
  const name = fieldOf(metadata, 'name') ?? fieldOf(metadata, 'generateName')
  const namespace = fieldOf(metadata, 'namespace')
  return [
    {
      group: apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '',
      kind,
      name: typeof name === 'string' ? name : '(no name)',
      ...(typeof namespace === 'string' && { namespace }),
      object: value,
    },
  ]
}
