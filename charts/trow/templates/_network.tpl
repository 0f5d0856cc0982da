{{/* How the pods are reached, and what they may reach. */}}

{{- define "trow.scheme" -}}
{{- ternary "http" "https" (empty .Values.trow.tls.existingSecret) -}}
{{- end -}}

{{/* Takes (list $ host): a host as an ingress or a route wants it, without a port. */}}
{{- define "trow.ingressHost" -}}
{{- $root := index . 0 -}}
{{- index . 1 | default (regexReplaceAll ":[0-9]+$" ($root.Values.trow.domain | default "") "") -}}
{{- end -}}

{{/* Takes (list $ port from ports), of which the ports are open to all. */}}
{{- define "trow.networkRules" -}}
{{- $egress := (index . 0).Values.networkPolicy.egress -}}
policyTypes: {{ ternary "[Ingress]" "[Ingress, Egress]" (empty $egress.enabled) }}
ingress:
  - ports:
      - port: {{ index . 1 }}
        protocol: TCP
    {{- with index . 2 }}
    from:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- range index . 3 }}
  - ports:
      - port: {{ . }}
        protocol: TCP
  {{- end }}
{{- if $egress.enabled }}
egress:
  - ports:
      # OpenShift's DNS pods listen at the second one.
      {{- range list 53 5353 }}
      - port: {{ . }}
        protocol: UDP
      - port: {{ . }}
        protocol: TCP
      {{- end }}
      {{- range $egress.ports }}
      - port: {{ . }}
        protocol: TCP
      {{- end }}
{{- end }}
{{- end -}}
