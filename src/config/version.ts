/** The version of this program, which is written down once, in package.json. */
import manifest from '../../package.json' with { type: 'json' }

export const version: string = manifest.version
