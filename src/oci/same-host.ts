/**
 * Whether two spellings of `host` or `host:port` may mean one registry. A name without a port stands
 * for every port: ingresses and node ports hide which one it is.
 */
export function isSameHost(one: string, other: string): boolean {
  const [host, port] = splitPort(one)
  const [otherHost, otherPort] = splitPort(other)
  return host === otherHost && (port === otherPort || port === '' || otherPort === '')
}

/** `[::1]:5000`: the colons in brackets are no port's. */
export function splitPort(name: string): [host: string, port: string] {
  const [, host = name, port = ''] = /^(.*?)(?::(\d+))?$/.exec(name) ?? []
  return [host.toLowerCase(), port]
}
