{{/* What the pods of all components have in common. */}}

{{/* Takes (list $ values), of which the second may be those of a component. */}}
{{- define "trow.podPlacement" -}}
{{- $root := index . 0 -}}
{{- $own := index . 1 -}}
{{- with $root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName | default $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector | default $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations | default $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Takes a dictionary with port and scheme. A start may verify what a crash left behind. */}}
{{- define "trow.probes" -}}
startupProbe:
  httpGet:
    path: /healthz
    port: {{ .port }}
    scheme: {{ .scheme }}
  periodSeconds: 2
  failureThreshold: 150
  timeoutSeconds: 5
livenessProbe:
  httpGet:
    path: /healthz
    port: {{ .port }}
    scheme: {{ .scheme }}
  periodSeconds: 15
  failureThreshold: 4
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /readiness
    port: {{ .port }}
    scheme: {{ .scheme }}
  periodSeconds: 10
  failureThreshold: 3
  timeoutSeconds: 5
{{- end -}}
