/**
 * Every place of a pod's specification that names an image: containers, init containers, ephemeral
 * containers (`kubectl debug`) and image volumes (KEP-4639), each with its path as users know it.
 */
import { fieldOf, isObject } from './admission-request.ts'

export interface ImageField {
  /** `spec.initContainers[1].image` */
  readonly field: string
  /** As it is written; undefined where there is none, or nothing that could be one. */
  readonly image: string | undefined
}

export interface ImageFields {
  readonly fields: readonly ImageField[]
  /** Why the specification cannot be judged. */
  readonly problem?: string
}

const containerLists = ['initContainers', 'containers', 'ephemeralContainers']

/**
 * @param path of the specification, `spec.template.spec`
 * @param imagesMax more than these are not looked at: what has them is no pod.
 */
export function listImageFields(spec: unknown, path: string, imagesMax: number): ImageFields {
  const fields: ImageField[] = []
  const lists = [...containerLists, 'volumes']
  for (const name of lists) {
    const list = fieldOf(spec, name) ?? []
    if (!Array.isArray(list)) return { fields, problem: `${path}.${name} is not a list` }
    if (list.length > imagesMax) {
      return { fields, problem: `${path}.${name} has more than ${imagesMax} entries` }
    }
    for (const [index, entry] of (list as readonly unknown[]).entries()) {
      const field = imageField(entry, `${path}.${name}[${index}]`, name === 'volumes')
      if (field !== undefined) fields.push(field)
    }
  }
  return { fields }
}

function imageField(entry: unknown, path: string, isVolume: boolean): ImageField | undefined {
  if (!isVolume) return { field: `${path}.image`, image: textOf(fieldOf(entry, 'image')) }
  // Most volumes are no images. An entry that is no object at all is nothing that could be one.
  const source = fieldOf(entry, 'image') ?? undefined
  if (source === undefined && isObject(entry)) return undefined
  return { field: `${path}.image.reference`, image: textOf(fieldOf(source, 'reference')) }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined
}
