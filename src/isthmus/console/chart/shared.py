"""What templates of the chart have in common, and what they show when they are installed."""

from __future__ import annotations

from typing import Final

SHARED: Final = """\
{{/* The namespace of the control plane. */}}
{{- define "isthmus.namespace" }}
{{- .Values.namespace | default .Release.Namespace }}
{{- end }}
{{/* The namespace of a gateway and of its Secrets. */}}
{{- define "isthmus.place" }}
{{- .Values.gatewayNamespace | default (include "isthmus.namespace" .) }}
{{- end }}
{{/* Two maps as JSON, merged: what the second says counts, and null says nothing. */}}
{{- define "isthmus.merged" }}
{{- $made := deepCopy (index . 0) }}
{{- range $key, $said := index . 1 }}
{{- $there := get $made $key }}
{{- if and (kindIs "map" $said) (kindIs "map" $there) }}
{{- $_ := set $made $key (include "isthmus.merged" (list $there $said) | fromJson) }}
{{- else if not (kindIs "invalid" $said) }}
{{- $_ := set $made $key $said }}
{{- end }}
{{- end }}
{{- toJson $made }}
{{- end }}
{{/* The ports of a Service. */}}
{{- define "isthmus.ports" }}
{{- range . }}
- name: {{ .name | toJson }}
  port: {{ .port | int }}
  targetPort: {{ .targetPort | default .port | int }}
{{- if .nodePort }}
  nodePort: {{ .nodePort | int }}
{{- end }}
{{- if eq (.protocol | default "TCP") "UDP" }}
  protocol: UDP
{{- end }}
{{- end }}
{{- end }}
"""

NOTES: Final = """\
Isthmus, {{ .Values.role }}, of cluster {{ .Values.cluster }}.
{{- $namespace := include "isthmus.namespace" . }}
{{- if and (has .Values.role (list "primary" "remote")) (not .Values.withNamespace) }}

Helm makes namespaces without labels. Say which cluster and network this is:
    kubectl label namespace {{ $namespace }} --overwrite topology.istio.io/cluster={{ .Values.cluster }}
{{- if .Values.network }} topology.istio.io/network={{ .Values.network }}{{ end }}
{{- end }}
{{- if eq .Values.role "primary" }}

Is it ready, and what is not as it should be:
    kubectl rollout status deployment -n {{ $namespace }}
    isthmus check
{{- end }}
"""
