{{/* How nodes are told of Trow. */}}

{{/* Whether a Service of their own lets nodes in. */}}
{{- define "trow.nodes.ownPort" -}}
{{- if and .Values.nodeConfiguration.nodePort (not .Values.nodeConfiguration.mirrors) (not .Values.service.nodePort) -}}true{{- end -}}
{{- end -}}

{{- define "trow.nodes.mirrors" -}}
{{- $scheme := include "trow.scheme" . -}}
{{- $port := .Values.service.nodePort | default .Values.nodeConfiguration.nodePort -}}
{{- if .Values.nodeConfiguration.mirrors -}}
{{- .Values.nodeConfiguration.mirrors | toJson -}}
{{- else if $port -}}
{{- list (printf "%s://$(HOST_IP):%v" $scheme $port) | toJson -}}
{{- else -}}
{{- list | toJson -}}
{{- end -}}
{{- end -}}

{{- define "trow.nodes.directory" -}}
{{- get (dict "containerd" "/etc/containerd" "crio" "/etc/containers" "k3s" "/etc/rancher/k3s" "rke2" "/etc/rancher/rke2") .Values.nodeConfiguration.runtime -}}
{{- end -}}
