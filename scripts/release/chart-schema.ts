/**
 * The parts of the chart's `values.schema.json` that Trow's own configuration schema knows: what may
 * stand in the values that become the configuration file. A mistake in them is told by Helm, before
 * anything is installed.
 */
import * as z from 'zod'
import { configSchema } from '../../src/config/schema.ts'

type Node = { [key: string]: unknown }

/** Keys that the chart sets from values of its own, or that make no sense in a pod. */
const setByTheChart = [
  'admission',
  'auth',
  'bind',
  'data_dir',
  'hostname',
  'image_mutation',
  'image_validation',
  'log_level',
  'registry_proxies',
  'tls',
]

/** Definitions by name, as JSON Schema draft 7. */
export function configDefinitions(): Record<string, Node> {
  const whole = z.toJSONSchema(configSchema, {
    io: 'input',
    target: 'draft-7',
    unrepresentable: 'any',
  })
  const properties = read(whole)['properties'] as Record<string, Node>
  const settings = Object.entries(properties).filter(([name]) => !setByTheChart.includes(name))
  return {
    registryProxies: sectionOf(properties, 'registry_proxies'),
    // Without `default`, which is asked for when the webhook is on.
    imageValidation: { ...sectionOf(properties, 'image_validation'), required: [] },
    imageMutation: withoutProperty(sectionOf(properties, 'image_mutation'), 'pin_digests'),
    settings: {
      type: 'object',
      additionalProperties: false,
      properties: Object.fromEntries(settings),
    },
  }
}

function sectionOf(properties: Record<string, Node>, name: string): Node {
  const section = properties[name]
  if (section === undefined) throw new Error(`the configuration has no section ${name}`)
  return section
}

/** The chart's webhooks have no cache, which it needs. */
function withoutProperty(section: Node, name: string): Node {
  const { [name]: _, ...properties } = section['properties'] as Node
  return { ...section, properties }
}

/** A schema as values may be: lists of text may be one text, a key without a value counts as absent. */
function read(schema: Node): Node {
  const { initial, restart: _restart, description, required, properties, items, ...rest } = schema
  const isRule = hasProperty(properties, 'image')
  const isTextList = hasType(items, 'string')
  const extraTypes = [...(isTextList || isRule ? ['string'] : []), 'null']
  return {
    ...(description !== undefined && { description }),
    ...rest,
    ...(rest['type'] !== undefined && { type: [rest['type'], ...extraTypes].flat() }),
    ...(Array.isArray(rest['enum']) && { enum: withUnquoted(rest['enum']) }),
    ...(rest['enum'] !== undefined && { type: undefined }),
    ...(initial !== undefined && { default: initial }),
    ...(isNode(items) && { items: read(items) }),
    ...(isNode(properties) && {
      properties: Object.fromEntries(
        Object.entries(properties).map(([name, property]) => [name, read(property as Node)]),
      ),
      required: requiredOf(properties, required),
    }),
  }
}

/** YAML reads an unquoted `off` as false. */
function withUnquoted(values: readonly unknown[]): unknown[] {
  return [...values, ...(values.includes('off') ? [false] : []), null]
}

/** What has a default, or holds what has one, need not be there. */
function requiredOf(properties: Node, required: unknown): string[] {
  const names = Array.isArray(required) ? (required as string[]) : []
  return names.filter((name) => {
    const property = properties[name] as Node
    return property['initial'] === undefined && property['type'] !== 'object'
  })
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function hasProperty(properties: unknown, name: string): boolean {
  return isNode(properties) && name in properties
}

function hasType(schema: unknown, type: string): boolean {
  return isNode(schema) && schema['type'] === type
}
