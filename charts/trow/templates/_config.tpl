{{/* What Trow is told by files: docs/configuration.md has the keys. */}}

{{/* Where the nodes and the pods of the cluster find the registry; the port is left out if usual. */}}
{{- define "trow.serviceHosts" -}}
{{- $name := printf "%s.%s" (include "trow.fullname" .) .Release.Namespace -}}
{{- $port := ternary "" (printf ":%v" .Values.service.port) (has (int .Values.service.port) (list 80 443)) -}}
{{- list (printf "%s.svc.%s%s" $name .Values.clusterDomain $port) (printf "%s.svc%s" $name $port) (printf "%s%s" $name $port) | toJson -}}
{{- end -}}

{{- define "trow.hostnames" -}}
{{- $domain := list -}}
{{- with .Values.trow.domain }}{{ $domain = list . }}{{ end -}}
{{- concat $domain (.Values.trow.hostnames | default list) (include "trow.serviceHosts" . | fromJsonArray) | uniq | toJson -}}
{{- end -}}

{{- define "trow.hasLogin" -}}
{{- if .Values.trow.user }}true{{ end -}}
{{- end -}}

{{- define "trow.loginSecretName" -}}
{{- default (printf "%s-login" (include "trow.fullname" .)) .Values.trow.existingSecret.name -}}
{{- end -}}

{{- define "trow.configSecretName" -}}
{{- default (printf "%s-config" (include "trow.fullname" .)) .Values.trow.existingConfigSecret -}}
{{- end -}}

{{/* YAML reads an unquoted `off` as false. */}}
{{- define "trow.imageValidation" -}}
{{- $policy := deepCopy (.Values.trow.validationWebhook.config | default dict) -}}
{{- range concat (list $policy) (default list $policy.namespaces) -}}
{{- if and (hasKey . "validate_workloads") (eq (toString .validate_workloads) "false") -}}
{{- $_ := set . "validate_workloads" "off" -}}
{{- end -}}
{{- end -}}
{{- toYaml $policy -}}
{{- end -}}

{{- define "trow.logLevel" -}}
{{- ternary "off" .Values.trow.logLevel (eq (toString .Values.trow.logLevel) "false") -}}
{{- end -}}

{{- define "trow.config" -}}
{{- $config := deepCopy (.Values.trow.config | default dict) -}}
{{- $_ := set $config "hostname" (include "trow.hostnames" . | fromJsonArray) -}}
{{- $_ := set $config "log_level" (include "trow.logLevel" .) -}}
{{- if include "trow.hasLogin" . -}}
{{- $_ := set $config "auth" (dict "user" .Values.trow.user "password_file" "/etc/trow/login/password" "anonymous_pull" (.Values.trow.anonymousPull | default false)) -}}
{{- end -}}
{{- with .Values.trow.proxyRegistries.config -}}
{{- $_ := set $config "registry_proxies" . -}}
{{- end -}}
{{- /* Only pulls ask the registry itself about the policy. */ -}}
{{- if (.Values.trow.validationWebhook.config | default dict).enforce_at_pull -}}
{{- $_ := set $config "image_validation" (include "trow.imageValidation" . | fromYaml) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Whether the webhook is asked about Deployments and the like at all. */}}
{{- define "trow.validatesWorkloads" -}}
{{- $policy := .Values.trow.validationWebhook.config | default dict -}}
{{- range concat (list (dict "validate_workloads" (get $policy "validate_workloads"))) (default list $policy.namespaces) -}}
{{- if not (has (toString (get . "validate_workloads")) (list "off" "false")) -}}
{{- if or (get . "validate_workloads") (not (get . "names")) -}}true{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* No logins and nothing of other registries: the webhook needs neither. */}}
{{- define "trow.webhook.config" -}}
{{- $config := dict
  "hostname" (include "trow.hostnames" . | fromJsonArray)
  "log_level" (include "trow.logLevel" .)
  "admission" (include "trow.webhook.serving" . | fromYaml)
-}}
{{- if .Values.trow.validationWebhook.enabled -}}
{{- $_ := set $config "image_validation" (include "trow.imageValidation" . | fromYaml) -}}
{{- end -}}
{{- if .Values.trow.mutationWebhook.enabled -}}
{{- $_ := set $config "image_mutation" (.Values.trow.mutationWebhook.config | default dict) -}}
{{- $_ := set $config "registry_proxies" (dict "registries" (include "trow.proxiedHosts" . | fromJsonArray)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Images of these are changed. */}}
{{- define "trow.proxiedHosts" -}}
{{- $hosts := list -}}
{{- range (.Values.trow.proxyRegistries.config | default dict).registries -}}
{{- $hosts = append $hosts (dict "host" .host) -}}
{{- end -}}
{{- $hosts | uniq | toJson -}}
{{- end -}}

{{/* How the API server reaches the webhook: a change of it needs new pods. */}}
{{- define "trow.webhook.serving" -}}
{{- $address := regexReplaceAll ":8000$" (.Values.trow.bind | default "") "" | default "[::]" -}}
bind: {{ printf "%s:8443" $address | quote }}
events: {{ .Values.webhooks.events | default false }}
{{- if eq .Values.webhooks.tls.mode "self" }}
self_managed:
  namespace: {{ .Release.Namespace }}
  secret: {{ include "trow.webhook.fullname" . }}-ca
  dns_names: {{ include "trow.webhook.dnsNames" . }}
  {{- if .Values.trow.validationWebhook.enabled }}
  validating_webhook: {{ include "trow.validation.name" . }}
  {{- end }}
  {{- if .Values.trow.mutationWebhook.enabled }}
  mutating_webhook: {{ include "trow.mutation.name" . }}
  {{- end }}
{{- else }}
tls:
  cert: /etc/trow/tls/tls.crt
  key: /etc/trow/tls/tls.key
{{- end }}
{{- end -}}

{{- define "trow.webhook.dnsNames" -}}
{{- $name := printf "%s.%s.svc" (include "trow.webhook.fullname" .) .Release.Namespace -}}
{{- list $name (printf "%s.%s" $name .Values.clusterDomain) | toJson -}}
{{- end -}}
