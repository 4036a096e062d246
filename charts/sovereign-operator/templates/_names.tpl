{{/* The name of the Deployment and of everything that belongs to it. */}}
{{- define "sovereign.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "sovereign.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sovereign.name" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the existing ServiceAccount, because serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The account that the rules are tried as, and the policy that holds it to dry runs. */}}
{{- define "sovereign.canary" -}}
{{ include "sovereign.name" . }}-canary
{{- end -}}

{{/* What selects the operator's pods; never changes, because a Deployment's selector cannot. */}}
{{- define "sovereign.selector" -}}
app.kubernetes.io/name: sovereign-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sovereign.labels" -}}
{{ include "sovereign.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: sovereign-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}
