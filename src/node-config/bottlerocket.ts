/**
 * Bottlerocket, whose nodes are configured by settings: as user data, as a call of its API client, or,
 * where Trow is at the node's own address, which settings cannot name, as the script of a bootstrap
 * container, which runs before containerd does.
 */
import { StartError } from '../lib/start-error.ts'
import { allRegistries, type NodeSettings } from './runtime.ts'

export const bottlerocketForms = ['settings', 'apiclient', 'bootstrap'] as const

export type BottlerocketForm = (typeof bottlerocketForms)[number]

export function formatBottlerocket(settings: NodeSettings, form: BottlerocketForm): string {
  if (form === 'bootstrap') return formatBootstrap(settings)
  if (!settings.isFallingBack) {
    throw new StartError('Bottlerocket has no setting for --no-fallback', { exitCode: 2 })
  }
  return form === 'settings' ? formatSettings(settings) : formatCall(settings)
}

function formatSettings(settings: NodeSettings): string {
  const entries = listMirrors(settings).map(
    ({ registry, endpoint }) =>
      '[[settings.container-registry.mirrors]]\n' +
      `registry = ${JSON.stringify(registry)}\nendpoint = ${JSON.stringify(endpoint)}\n`,
  )
  const { ca } = settings
  if (ca !== undefined) {
    entries.push(`[settings.pki.trow]\ntrusted = true\ndata = "${encode(ca)}"\n`)
  }
  return entries.join('\n')
}

function formatCall(settings: NodeSettings): string {
  const { ca } = settings
  const values = {
    'container-registry': { mirrors: listMirrors(settings) },
    ...(ca !== undefined && { pki: { trow: { trusted: true, data: encode(ca) } } }),
  }
  return `apiclient set --json '${JSON.stringify(values)}'\n`
}

function listMirrors({ mirrors, registries }: NodeSettings) {
  const endpoint = mirrors.map(({ url }) => url)
  return registries.map((registry) => ({
    registry: registry === allRegistries ? '*' : registry,
    endpoint,
  }))
}

function encode(ca: string): string {
  return Buffer.from(ca).toString('base64')
}

/** Of the mirror only the port counts: the address is looked up on the node. */
function formatBootstrap({ mirrors, registries, isFallingBack }: NodeSettings): string {
  const [{ url, isSecure }, ...others] = mirrors
  const { port } = new URL(url)
  const isPlain = registries.every((registry) => registry === allRegistries) && isFallingBack
  if (isSecure || port === '' || others.length > 0 || !isPlain) {
    throw new StartError(
      'the bootstrap container is for one --mirror http://$(HOST_IP):PORT alone',
      {
        exitCode: 2,
      },
    )
  }
  return bootstrapScript.replace('PORT', port)
}

const dollar = '$'

/** Needs sh and curl. The address is IPv6 where the instance has one. */
const bootstrapScript = String.raw`#!/bin/sh
# Makes the Trow at this node's own address the mirror of all registries.
set -eu
port=PORT
root=${dollar}{ROOT:-/.bottlerocket/rootfs}

# The instance metadata service: by IPv6 where the instance has it, else by IPv4.
for candidate in 'http://[fd00:ec2::254]' http://169.254.169.254; do
  token=$(curl -gsf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' \
    "$candidate/latest/api/token") || continue
  metadata=$candidate/latest/meta-data
  break
done
: "${dollar}{metadata:?the instance metadata service does not answer}"
ask() { curl -gsf -m 2 -H "X-aws-ec2-metadata-token: $token" "$metadata/$1"; }

# In a cluster of IPv4 on instances that have an IPv6 address as well, leave out the first.
if address=$(ask ipv6); then
  address="[$address]"
else
  address=$(ask local-ipv4)
fi

directory=$root/etc/containerd/certs.d/_default
mkdir -p "$directory"
cat > "$directory/hosts.toml" <<EOF
[host."http://$address:$port"]
capabilities = ["pull", "resolve"]
dial_timeout = "2s"
EOF
chmod 755 "$root/etc/containerd/certs.d" "$directory"
chmod 644 "$directory/hosts.toml"

config=$root/etc/containerd/config.toml
if ! grep -q config_path "$config"; then
  plugin=io.containerd.grpc.v1.cri
  if grep -q '^version = [3-9]' "$config"; then plugin=io.containerd.cri.v1.images; fi
  printf '\n[plugins."%s".registry]\nconfig_path = "/etc/containerd/certs.d"\n' "$plugin" >> "$config"
fi
`
