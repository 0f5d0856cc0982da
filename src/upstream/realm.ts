/**
 * Which token services may be shown credentials. A realm is whatever the registry, or somebody on
 * the way, put into a header: what was entrusted to a registry over TLS never leaves it in clear.
 */

/** Whether a realm on this URL may receive the credentials for the registry at that one. */
export type RealmPolicy = (realm: URL, registry: URL) => boolean

/** Any realm over https; over plain http only the registry's own host, if it is plain http too. */
export const secureRealm: RealmPolicy = (realm, registry) => {
  if (realm.protocol === 'https:') return true
  return registry.protocol === 'http:' && realm.hostname === registry.hostname
}

/** @returns undefined for what is no http or https URL; user and password are taken out of it. */
export function parseRealm(text: string | undefined): URL | undefined {
  const realm = text === undefined ? null : URL.parse(text)
  if (realm === null || !/^https?:$/.test(realm.protocol)) return undefined
  realm.username = ''
  realm.password = ''
  realm.hash = ''
  return realm
}
