{{/* The operator's settings; `sovereign-operator run --help` describes each. */}}
{{- define "sovereign.env" -}}
- name: SOVEREIGN_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: SOVEREIGN_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: SOVEREIGN_SERVICE_ACCOUNT
  valueFrom: {fieldRef: {fieldPath: spec.serviceAccountName}}
- name: SOVEREIGN_LEASE_NAME
  value: {{ include "sovereign.name" . }}
- name: SOVEREIGN_LEASE_DURATION
  value: {{ .Values.leaseDuration | int | quote }}
- name: SOVEREIGN_IMPORTER_IMAGE
  value: {{ default (include "sovereign.image" .) .Values.workloads.importerImage }}
- name: SOVEREIGN_IMAGE_PULL_SECRETS
  value: {{ join "," .Values.workloads.imagePullSecrets | quote }}
- name: SOVEREIGN_SYSTEM_NAMESPACES
  value: {{ join "," .Values.systemNamespaces | quote }}
- name: SOVEREIGN_NODE_FACTS_USERS
  value: {{ join "," .Values.nodeFacts.writers.users | quote }}
- name: SOVEREIGN_NODE_FACTS_GROUPS
  value: {{ join "," .Values.nodeFacts.writers.groups | quote }}
- name: SOVEREIGN_NODE_AGENTS
  value: {{ join "," .Values.nodeAgents | quote }}
- name: SOVEREIGN_CLUSTER_DOMAIN
  value: {{ .Values.clusterDomain }}
- name: SOVEREIGN_WORKERS
  value: {{ .Values.workers | int | quote }}
- name: SOVEREIGN_LISTEN
  value: {{ printf "%s:8080" .Values.listenAddress | quote }}
- name: SOVEREIGN_POD_IPS
  valueFrom: {fieldRef: {fieldPath: status.podIPs}}
- name: SOVEREIGN_PROBE_LISTEN
  value: {{ ternary (printf "%s:%d" .Values.listenAddress (int .Values.networkProbe.port)) "" .Values.networkProbe.enabled | quote }}
- name: SOVEREIGN_PROBE_INTERVAL
  value: {{ .Values.networkProbe.interval | quote }}
- name: SOVEREIGN_PROBE_CONCURRENCY
  value: {{ .Values.networkProbe.concurrency | int | quote }}
- name: SOVEREIGN_PROBE_TIMEOUT
  value: {{ .Values.networkProbe.timeout | quote }}
- name: SOVEREIGN_EVIDENCE_INTERVAL
  value: {{ .Values.evidence.interval | quote }}
- name: SOVEREIGN_EVIDENCE_KEY
  value: {{ ternary "/etc/sovereign/evidence/key.pem" "" (not (empty .Values.evidence.signingKeySecret)) | quote }}
- name: SOVEREIGN_OWN_PULL_SECRETS
  value: {{ include "sovereign.pullSecretNames" . | quote }}
- name: SOVEREIGN_CANARY_SERVICE_ACCOUNT
  value: {{ ternary (include "sovereign.canary" .) "" .Values.canaries.enabled | quote }}
- name: SOVEREIGN_CANARY_INTERVAL
  value: {{ .Values.canaries.interval | quote }}
- name: SOVEREIGN_LOG_FORMAT
  value: {{ .Values.log.format }}
- name: SOVEREIGN_LOG_LEVEL
  value: {{ .Values.log.level }}
{{- end -}}

{{- define "sovereign.pullSecretNames" -}}
{{- $names := list -}}
{{- range .Values.imagePullSecrets }}{{ $names = append $names .name }}{{ end -}}
{{- join "," $names -}}
{{- end -}}
