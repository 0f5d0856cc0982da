/** The platform that this program runs on, as images name theirs (image specification, config.md). */

/** Where Node.js and Go have different names for a processor. */
const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
}

/** Images are for Linux, whatever else this may run on. */
export const platformHere = `linux/${architectures[process.arch] ?? process.arch}`
