{{/*
What values.schema.json cannot say: values of Trow's own chart that have another place here, and values
that do not go together. Each message names the value and what to write instead.
*/}}

{{- define "trow.checks" -}}
{{- include "trow.checks.renamed" . -}}
{{- include "trow.checks.registry" . -}}
{{- include "trow.checks.webhook" . -}}
{{- include "trow.checks.nodes" . -}}
{{- end -}}

{{- define "trow.checks.renamed" -}}
{{- $replacements := dict
  "trow.onWebhookFailure" "trow.validationWebhook.failurePolicy"
  "trow.proxyConfig" "trow.proxyRegistries.config, in the form of docs/configuration.md"
  "trow.proxyRegistries.webhook" "trow.mutationWebhook, or better nodeConfiguration.enabled=true, with which nodes pull through Trow and images keep their names"
  "trow.validation" "trow.validationWebhook"
  "trow.validationWebhook.enable" "trow.validationWebhook.enabled"
  "webhookPatch" "webhooks.tls.mode=self"
  "webhooks.tls.certmanager" "webhooks.tls.mode=certManager and webhooks.tls.certManager"
  "webhooks.tls.existingSecretRef" "webhooks.tls.mode=existingSecret and webhooks.tls.existingSecret"
  "webhooks.tls.patch" "webhooks.tls.mode=self, the default, which needs no job and no other image"
-}}
{{- range $path, $replacement := $replacements -}}
{{- $place := $.Values -}}
{{- range splitList "." $path -}}
{{- $place = kindIs "map" $place | ternary (get $place .) "" -}}
{{- end -}}
{{- if not (kindIs "invalid" $place | or (eq (toString $place) "")) -}}
{{- fail (printf "%s is a value of Trow's own chart; here it is %s (docs/kubernetes.md has all)" $path $replacement) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "trow.checks.registry" -}}
{{- if gt (int .Values.replicaCount) 1 -}}
{{- fail "replicaCount: only 1 or 0: two registries would each have their own data; use webhooks.replicas for more webhooks" -}}
{{- end -}}
{{- if and .Values.service.nodePort (eq .Values.service.type "ClusterIP") -}}
{{- fail "service.nodePort is set, and service.type is ClusterIP: set service.type=NodePort" -}}
{{- end -}}
{{- if and .Values.trow.password (not .Values.trow.user) -}}
{{- fail "trow.password is set without trow.user: nobody could log in" -}}
{{- end -}}
{{- if and .Values.trow.existingSecret.name (not .Values.trow.user) -}}
{{- fail "trow.existingSecret.name is set without trow.user: set the name that its password is for" -}}
{{- end -}}
{{- if and .Values.trow.user (not .Values.trow.password) (not .Values.trow.existingSecret.name) -}}
{{- fail "trow.user is set without a password: set trow.existingSecret.name (or trow.password)" -}}
{{- end -}}
{{- if and .Values.trow.password .Values.trow.existingSecret.name -}}
{{- fail "trow.password and trow.existingSecret.name are both set: remove one" -}}
{{- end -}}
{{- if and .Values.trow.existingConfigSecret (or .Values.trow.user .Values.trow.config .Values.trow.proxyRegistries.config) -}}
{{- fail "trow.existingConfigSecret replaces trow.user, trow.config and trow.proxyRegistries.config: say all in its config.yaml" -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- range .Values.ingress.hosts -}}
{{- if not (or .host $.Values.trow.domain) -}}
{{- fail "ingress.enabled needs a name: set trow.domain, or ingress.hosts[].host (\"none\" for any name)" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.httpRoute.enabled -}}
{{- if not .Values.httpRoute.parentRefs -}}
{{- fail "httpRoute.enabled needs a Gateway: set httpRoute.parentRefs[0].name" -}}
{{- end -}}
{{- if not (or .Values.httpRoute.hostnames .Values.trow.domain) -}}
{{- fail "httpRoute.enabled needs a name: set trow.domain or httpRoute.hostnames" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.trow.domain (hasPrefix (printf "%s/" .Values.trow.domain) .Values.image.repository) -}}
{{- fail (printf "image.repository: Trow cannot start from an image that only Trow has (%s)" .Values.image.repository) -}}
{{- end -}}
{{- end -}}

{{- define "trow.checks.webhook" -}}
{{- if and .Values.trow.validationWebhook.enabled (not (.Values.trow.validationWebhook.config | default dict).default) -}}
{{- fail "trow.validationWebhook.config.default must be given with the webhook on: Allow or Deny, for images that no rule fits" -}}
{{- end -}}
{{- if .Values.trow.mutationWebhook.enabled -}}
{{- if not (or .Values.trow.domain (.Values.trow.mutationWebhook.config | default dict).registry) -}}
{{- fail "trow.mutationWebhook.enabled: nodes need a name for the registry: set trow.domain, or trow.mutationWebhook.config.registry" -}}
{{- end -}}
{{- if eq (include "trow.proxiedHosts" .) "[]" -}}
{{- fail "trow.mutationWebhook.enabled: images of no registry would be changed: set trow.proxyRegistries.config.registries[0].host" -}}
{{- end -}}
{{- end -}}
{{- if include "trow.webhook.enabled" . -}}
{{- if eq .Values.webhooks.tls.mode "existingSecret" -}}
{{- if not .Values.webhooks.tls.existingSecret.name -}}
{{- fail (printf "webhooks.tls.existingSecret.name: set the Secret that has the certificate of %s.%s.svc" (include "trow.webhook.fullname" .) .Release.Namespace) -}}
{{- end -}}
{{- if not .Values.webhooks.tls.existingSecret.caBundle -}}
{{- fail "webhooks.tls.existingSecret.caBundle: set its authority (PEM), or the API server trusts no answer" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "trow.checks.nodes" -}}
{{- $nodes := .Values.nodeConfiguration -}}
{{- if $nodes.enabled -}}
{{- if not (include "trow.nodes.mirrors" . | fromJsonArray) -}}
{{- fail "nodeConfiguration.enabled: nodes need a way to the registry: set nodeConfiguration.nodePort=30500, or nodeConfiguration.mirrors" -}}
{{- end -}}
{{- /* Or a node without Trow's image could not get it while Trow is away. */ -}}
{{- $host := regexFind "^[^/]+" .Values.image.repository -}}
{{- if and (not $nodes.fallback) (or (not $nodes.registries) (has $host $nodes.registries)) -}}
{{- fail (printf "nodeConfiguration.fallback=false: Trow's own image is at %s, which nodes must reach without Trow: set nodeConfiguration.registries to others" $host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
