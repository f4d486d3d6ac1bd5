{{/* Labels of what this chart makes itself. */}}
{{- define "herald-with-nats.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What the Secret of this name holds already, or a random text: (list context name key length). It begins with a letter, since
nats-server would read digits as a number. */}}
{{- define "herald-with-nats.kept" -}}
{{- $root := index . 0 }}
{{- $held := dig "data" (index . 2) "" (lookup "v1" "Secret" $root.Release.Namespace (index . 1) | default dict) }}
{{- $held | default (printf "k%s" (randAlphaNum (index . 3 | int)) | b64enc) }}
{{- end }}
