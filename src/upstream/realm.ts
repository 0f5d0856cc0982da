/**
 * Which token services may be shown credentials. A realm is whatever the registry, or somebody on
 * the way, put into a header: what was entrusted to a registry over TLS never leaves it in clear.
 */
import { isIP } from 'node:net'

/** Whether a realm on this URL may receive the credentials for the registry at that one. */
export type RealmPolicy = (realm: URL, registry: URL) => boolean

/** Any realm over https; over plain http only the registry's own host, if it is plain http too. */
export const secureRealm: RealmPolicy = (realm, registry) => {
  if (realm.protocol === 'https:') return true
  return registry.protocol === 'http:' && realm.hostname === registry.hostname
}

/**
 * A secure realm on the registry's own site, or on one of `authHosts` (CVE-2026-33540: a registry
 * that could have the credentials sent anywhere). A site is the registry's host, the domain right
 * above it and all below either: `auth.docker.io` for `registry-1.docker.io`, `gitlab.com` for
 * `registry.gitlab.com`. A domain that strangers share (`co.uk`, `azurecr.io`) is no site; the known
 * ones stand here, as the full list of public suffixes would need an update every week.
 */
export function siteRealm(authHosts: readonly string[] = []): RealmPolicy {
  return (realm, registry) => {
    if (!secureRealm(realm, registry)) return false
    if (realm.hostname === registry.hostname) return true
    if (isAuthHost(authHosts, realm)) return true
    return isSameSite(realm.hostname, registry.hostname)
  }
}

/** Whether one of `authHosts` is where a URL leads; one without a port is so on every port. */
export function isAuthHost(authHosts: readonly string[], url: URL): boolean {
  return authHosts.some(
    (host) => host === url.hostname || URL.parse(`${url.protocol}//${host}`)?.host === url.host,
  )
}

function isSameSite(realm: string, registry: string): boolean {
  if ([realm, registry].some((host) => isIP(host.replace(/^\[|\]$/g, '')) !== 0)) return false
  if (realm.endsWith(`.${registry}`)) return registry.includes('.')
  const parent = registry.slice(registry.indexOf('.') + 1)
  const isShared = !parent.includes('.') || parent === registry || isSharedDomain(parent)
  return !isShared && (realm === parent || realm.endsWith(`.${parent}`))
}

/** Second levels under which countries register names. */
const countrySecondLevels = new Set(
  (
    'ac asn co com ed edu firm gen go gob gouv gov govt gv id idv ind info ltd me mil muni ne ' +
    'net nhs nic nom or org plc pro sch web'
  ).split(' '),
)

/** Domains below which whoever pays, or not even that, gets a name. */
const hostingDomains = new Set(
  (
    'amazonaws.com appspot.com azurecr.io azurewebsites.net cloudapp.azure.com cloudfront.net ' +
    'duckdns.org fly.dev github.io gitlab.io herokuapp.com jfrog.io netlify.app ngrok.app ' +
    'ngrok.io ngrok-free.app nip.io onrender.com pages.dev railway.app run.app sslip.io ts.net ' +
    'vercel.app web.app workers.dev'
  ).split(' '),
)

function isSharedDomain(domain: string): boolean {
  const labels = domain.split('.')
  const [second = '', top = ''] = labels.slice(-2)
  if (labels.length === 2 && top.length === 2 && countrySecondLevels.has(second)) return true
  return [...hostingDomains].some((shared) => domain === shared || domain.endsWith(`.${shared}`))
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
