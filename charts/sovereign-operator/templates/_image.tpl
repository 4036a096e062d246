{{/* The operator's image: by digest, or by tag where the values say that a tag will do. */}}
{{- define "sovereign.image" -}}
{{- $image := .Values.image -}}
{{- $repository := required "image.repository: say where the operator's image is, for example --set image.repository=registry.example.eu/ai/sovereign-operator" $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s%s@%s" $repository (ternary (printf ":%s" $image.tag) "" (ne $image.tag "")) $image.digest -}}
{{- else if $image.allowTag -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag) -}}
{{- else -}}
{{- fail "image.digest: give the image's digest (sha256:...), because a tag may point to something else tomorrow; to try things out with a tag, set image.allowTag=true" -}}
{{- end -}}
{{- end -}}
