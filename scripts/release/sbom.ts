/** What an image is made of, as an SPDX 2.3 document in JSON. */
import type { DebianPackage } from './debian.ts'
import type { BundledPackage } from './package.ts'

export interface Contents {
  readonly name: string
  readonly version: string
  readonly created: string
  /** Of the node platform packages. */
  readonly nodeVersion: string
  readonly npm: readonly BundledPackage[]
  readonly debian: readonly DebianPackage[]
}

interface SpdxPackage {
  readonly SPDXID: string
  readonly name: string
  readonly versionInfo: string
  readonly downloadLocation: 'NOASSERTION'
  readonly licenseDeclared: string
  readonly externalRefs?: readonly object[]
}

export function makeSbom(contents: Contents): object {
  const { name, version, created, nodeVersion } = contents
  const root = spdxPackage('trow', version, 'Apache-2.0', `pkg:npm/trow@${version}`)
  const parts = [
    spdxPackage('node', nodeVersion, 'MIT', `pkg:generic/node@${nodeVersion}`),
    ...contents.npm.map((one) =>
      spdxPackage(one.name, one.version, one.license, npmUrl(one.name, one.version)),
    ),
    ...contents.debian.map((one) =>
      spdxPackage(one.name, one.version, 'NOASSERTION', debianUrl(one)),
    ),
  ]
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name,
    documentNamespace: `https://trow.io/spdx/${name}-${version}`,
    creationInfo: { created, creators: ['Tool: trow-image'] },
    packages: [root, ...parts],
    relationships: [
      relationship('SPDXRef-DOCUMENT', 'DESCRIBES', root.SPDXID),
      ...parts.map((part) => relationship(root.SPDXID, 'CONTAINS', part.SPDXID)),
    ],
  }
}

function relationship(from: string, relationshipType: string, to: string): object {
  return { spdxElementId: from, relationshipType, relatedSpdxElement: to }
}

function spdxPackage(name: string, version: string, license: string, url: string): SpdxPackage {
  const id = `${name}-${version}`.replaceAll(/[^A-Za-z0-9.-]/g, '-')
  const purl = {
    referenceCategory: 'PACKAGE-MANAGER',
    referenceType: 'purl',
    referenceLocator: url,
  }
  return {
    SPDXID: `SPDXRef-${id}`,
    name,
    versionInfo: version,
    downloadLocation: 'NOASSERTION',
    licenseDeclared: license,
    externalRefs: [purl],
  }
}

function npmUrl(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`
}

function debianUrl({ name, version, architecture }: DebianPackage): string {
  return `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}`
}
