/**
 * Puts the configuration together: files, then environment, then flags, each stronger than the one
 * before. All that is wrong with any of them is reported at once (`ConfigError`), and nothing is
 * touched but the files that are read.
 */
import { resolve } from 'node:path'
import { ConfigError } from './config-error.ts'
import { parseConfigFile } from './config-file.ts'
import type { Config } from './config.ts'
import { levelFromRustLog, unknownVariables } from './environment.ts'
import { FileReader, type Fingerprints } from './file-reader.ts'
import { readFileSettings } from './file-settings.ts'
import {
  formatPath,
  isTree,
  type KeyPath,
  type Layer,
  locateSetting,
  mergeLayers,
  valueAt,
} from './layer.ts'
import { limits } from './limits.ts'
import { makeConfig } from './make-config.ts'
import { configSchema } from './schema.ts'
import { configWarnings } from './warnings.ts'
import {
  type Environment,
  environmentSource,
  type FlagValues,
  flagSource,
  type Source,
} from './sources.ts'
import { validateLayer, validateTogether } from './validate.ts'

export interface ConfigSources {
  readonly flags: FlagValues
  readonly environment: Environment
}

export interface LoadedConfig {
  readonly config: Config
  readonly dryRun: boolean
  /** What is odd but does not keep the program from starting. */
  readonly warnings: readonly string[]
  /** How the files looked when they were read. */
  readonly fingerprints: Fingerprints
  /** Says where a setting comes from; undefined for a default. */
  origin(path: KeyPath): string | undefined
  /** The setting as its source has it; undefined for a default. */
  written(path: KeyPath): unknown
}

/** @throws ConfigError */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const reader = new FileReader()
  const flags = flagSource(sources.flags)
  const environment = environmentSource(sources.environment)
  const files = await readConfigFiles(fileNames(flags, environment), reader)
  const layers = [
    rustLogLayer(sources.environment),
    ...files.layers,
    environment.layer,
    flags.layer,
  ]
  const merged = mergeLayers(layers)
  const read = await readFileSettings(merged, reader)
  const problems = [
    ...files.problems,
    ...environment.problems,
    ...flags.problems,
    ...layers.flatMap(validateLayer),
    // What a file that could not be read would have set is not known to be missing.
    ...(files.problems.length === 0 ? validateTogether(merged, layers) : []),
    ...read.problems.map(({ path, message }) => `${locateSetting(layers, path)?.text}: ${message}`),
  ]
  const unknown = unknownVariables(sources.environment)
  // What is missing may stand in a variable that is misspelt.
  if (problems.length > 0) throw new ConfigError([...problems, ...unknown], reader.fingerprints)
  const config = makeConfig(
    configSchema.parse(merged),
    (path) => read.contents.get(formatPath(path)),
    [...reader.fingerprints.keys()],
  )
  return {
    config,
    dryRun: (flags.extra.get('--dry-run') ?? environment.extra.get('--dry-run')) === true,
    warnings: [...unknown, ...read.warnings, ...configWarnings(config)],
    fingerprints: reader.fingerprints,
    origin: (path) => locateSetting(layers, path)?.source,
    written: (path) => valueAt(merged, path),
  }
}

/** The two flags are two names of one thing, so one file may be named by both. */
function fileNames(flags: Source, environment: Source): string[] {
  const names = ['--config-file', '--image-validation-config-file'].flatMap(
    (flag) => (flags.extra.get(flag) ?? environment.extra.get(flag) ?? []) as string[],
  )
  return [...new Map(names.map((name) => [resolve(name), name])).values()]
}

async function readConfigFiles(names: readonly string[], reader: FileReader) {
  const layers: Layer[] = []
  const problems: string[] = []
  for (const name of names) {
    const content = await reader.read(name, limits.configFileBytesMax)
    if ('problem' in content) {
      problems.push(`${name}: the configuration file ${content.problem}`)
      continue
    }
    const file = parseConfigFile(name, content.text)
    problems.push(...file.problems, ...layers.flatMap((earlier) => conflicts(earlier, file.layer)))
    layers.push(file.layer)
  }
  return { layers, problems }
}

/** Files have no order, so a setting in two of them is a contradiction. */
function conflicts(earlier: Layer, later: Layer): string[] {
  return leaves(later.tree, [])
    .filter((path) => (valueAt(earlier.tree, path) ?? null) !== null)
    .map((path) => `${later.locate(path).text}: is also set at ${earlier.locate(path).text}`)
}

function leaves(value: unknown, path: KeyPath): KeyPath[] {
  if (value === null) return []
  if (!isTree(value)) return [path]
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]))
}

/** The weakest source of all: it counts when nothing else sets a level. */
function rustLogLayer(environment: Environment): Layer {
  const level = levelFromRustLog(environment['RUST_LOG'] ?? '')
  return {
    tree: level === undefined ? {} : { log_level: level },
    locate: () => ({ source: 'RUST_LOG', text: 'RUST_LOG', order: 0 }),
  }
}
