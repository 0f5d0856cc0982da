{{/* What the configurations of both webhooks have in common. */}}

{{/* So that Trow and what it needs can always start. */}}
{{- define "trow.webhook.excludedNamespaces" -}}
{{- $own := list .Release.Namespace (include "trow.nodes.namespace" .) -}}
{{- concat (.Values.webhooks.excludedNamespaces | default list) $own | uniq | sortAlpha | toJson -}}
{{- end -}}

{{- define "trow.webhook.namespaceSelector" -}}
{{- $selector := .Values.webhooks.namespaceSelector | default dict -}}
{{- with $selector.matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values:
      {{- include "trow.webhook.excludedNamespaces" . | fromJsonArray | toYaml | nindent 6 }}
  {{- with $selector.matchExpressions }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "trow.webhook.caInjection" -}}
{{- if eq .Values.webhooks.tls.mode "certManager" -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "trow.webhook.fullname" . }}
{{- end -}}
{{- end -}}

{{/* Takes (list $ path). */}}
{{- define "trow.webhook.client" -}}
{{- $root := index . 0 -}}
service:
  name: {{ include "trow.webhook.fullname" $root }}
  namespace: {{ $root.Release.Namespace }}
  path: {{ index . 1 }}
  port: 443
{{- if eq $root.Values.webhooks.tls.mode "existingSecret" }}
caBundle: {{ $root.Values.webhooks.tls.existingSecret.caBundle | b64enc }}
{{- end }}
{{- end -}}
