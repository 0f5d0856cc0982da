{{/* Names, labels and the image: what all objects share. */}}

{{- define "trow.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Cut so short that all suffixes fit into the 63 characters that a Service's name may have. */}}
{{- define "trow.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 42 | trimSuffix "-" -}}
{{- else if contains (include "trow.name" .) .Release.Name -}}
{{- .Release.Name | trunc 42 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "trow.name" .) | trunc 42 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "trow.webhook.fullname" -}}
{{- include "trow.fullname" . }}-webhook
{{- end -}}

{{- define "trow.nodes.fullname" -}}
{{- include "trow.fullname" . }}-nodes
{{- end -}}

{{- define "trow.nodes.namespace" -}}
{{- .Values.nodeConfiguration.namespace | default .Release.Namespace -}}
{{- end -}}

{{/*
Cluster-scoped objects of two releases in two namespaces must not have one name: the namespace is part
of it unless the release is called like it.
*/}}
{{- define "trow.clusterName" -}}
{{- $name := include "trow.fullname" . -}}
{{- if eq $name .Release.Namespace -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace $name -}}
{{- end -}}
{{- end -}}

{{/* The one ValidatingWebhookConfiguration: its RBAC, its certificate and itself must agree on it. */}}
{{- define "trow.validation.name" -}}
{{- include "trow.clusterName" . }}-validation
{{- end -}}

{{- define "trow.mutation.name" -}}
{{- include "trow.clusterName" . }}-mutation
{{- end -}}

{{- define "trow.webhook.enabled" -}}
{{- if or .Values.trow.validationWebhook.enabled .Values.trow.mutationWebhook.enabled -}}true{{- end -}}
{{- end -}}

{{- define "trow.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "trow.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Takes (list $ "component"). */}}
{{- define "trow.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "trow.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Takes (list $ "component"). */}}
{{- define "trow.labels" -}}
{{- $root := index . 0 -}}
{{ include "trow.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: trow
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trow.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- .Values.image.repository }}:{{ $tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}
