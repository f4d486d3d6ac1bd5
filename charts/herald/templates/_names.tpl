{{/* Names and labels that every manifest has, and checks of values that a schema cannot make. */}}

{{- define "herald.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "herald.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "herald.selectorLabels" -}}
app.kubernetes.io/name: {{ include "herald.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "herald.labels" -}}
{{ include "herald.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Those of the check's pod: not those that the Service selects by. */}}
{{- define "herald.checkLabels" -}}
app.kubernetes.io/name: {{ include "herald.name" . | trunc 57 }}-check
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "herald.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "herald.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "herald.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Health and metrics stay inside the cluster: where the Service does not, they have one of their own. */}}
{{- define "herald.adminService" -}}
{{- if eq .Values.service.type "ClusterIP" }}
{{- include "herald.fullname" . }}
{{- else }}
{{- printf "%s-admin" (include "herald.fullname" . | trunc 57 | trimSuffix "-") }}
{{- end }}
{{- end }}

{{- define "herald.busUrl" -}}
{{- tpl .Values.bus.url . }}
{{- end }}

{{- define "herald.check" -}}
{{- $most := ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int }}
{{- if and (gt $most 1) (not (include "herald.busUrl" .)) }}
{{- fail "bus.url: more than one instance needs NATS; without it notifications would stay in the instance that took them in" }}
{{- end }}
{{- if and (ne .Values.bus.auth "none") (not .Values.bus.secret.name) }}
{{- fail (printf "bus.secret.name: bus.auth %q needs a Secret" .Values.bus.auth) }}
{{- end }}
{{- if and (eq .Values.bus.controlUnsigned "refuse") (not .Values.bus.controlKey.name) }}
{{- fail "bus.controlKey.name: bus.controlUnsigned \"refuse\" needs a Secret with a key" }}
{{- end }}
{{- if and .Values.auth.pageOidc.issuer (not .Values.auth.pageOidc.clientId) }}
{{- fail "auth.pageOidc.clientId: expected the page's name at auth.pageOidc.issuer" }}
{{- end }}
{{- if and (gt $most 1) (include "herald.hasOwnDisk" .) }}
{{- fail "auth.revokedFile.volume: a claim belongs to one instance alone; several instances need a volume each, such as an emptyDir" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (not .Values.autoscaling.sessionsPerInstance) (not .Values.autoscaling.cpuPercent) }}
{{- fail "autoscaling: sessionsPerInstance and cpuPercent cannot both be 0" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
{{- fail "ingress.hosts: expected at least one host name" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.parentRefs: expected at least one gateway" }}
{{- end }}
{{- end }}

{{/* Where Herald finds the file that proves who it is. */}}
{{- define "herald.busSecretKey" -}}
{{- get (dict "password" "HERALD_BUS__PASSWORD_FILE" "token" "HERALD_BUS__TOKEN_FILE" "credentials" "HERALD_BUS__CREDENTIALS_FILE" "nkey" "HERALD_BUS__NKEY_FILE") .Values.bus.auth }}
{{- end }}

{{/* One file of a Secret among those of the issuers: (list issuer kind key). */}}
{{- define "herald.issuerFile" -}}
{{- printf "%v/%v/%s" (index . 0) (index . 1) (index . 2) }}
{{- end }}

{{/* The issuers, as herald.toml has them: JSON's texts, lists and words are TOML's as well. */}}
{{- define "herald.issuers" -}}
{{- range $at, $issuer := .Values.auth.issuers }}
[[auth.issuers]]
{{- range $key, $value := omit $issuer "keys" "ca" }}
{{- include "herald.tomlLine" (list $key $value) }}
{{- end }}
{{- with $issuer.ca }}
ca_file = {{ printf "/run/secrets/herald/issuers/%s" (include "herald.issuerFile" (list $at "ca" .key)) | toJson }}
{{- end }}
{{- range $number, $one := $issuer.keys }}
[[auth.issuers.keys]]
{{- range $key, $value := omit $one "secret" "publicKey" }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- with $one.secret }}
secret_file = {{ printf "/run/secrets/herald/issuers/%s" (include "herald.issuerFile" (list $at $number .key)) | toJson }}
{{- end }}
{{- with $one.publicKey }}
public_key_file = {{ printf "/run/secrets/herald/issuers/%s" (include "herald.issuerFile" (list $at $number .key)) | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The backend that decides, as herald.toml has it. */}}
{{- define "herald.callout" -}}
{{- with .Values.auth.callout }}
[auth.callout]
{{- range $key, $value := omit . "ca" }}
{{- include "herald.tomlLine" (list $key $value) }}
{{- end }}
{{- with .ca }}
ca_file = {{ printf "/run/secrets/herald/callout-ca/%s" .key | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{/* One line of TOML: (list key value). */}}
{{- define "herald.tomlLine" -}}
{{- $value := index . 1 }}
{{- if kindIs "map" $value }}
{{- $pairs := list }}
{{- range $name, $role := $value }}{{ $pairs = append $pairs (printf "%s = %s" (toJson $name) (toJson $role)) }}{{ end }}
{{ index . 0 }} = { {{ join ", " $pairs }} }
{{- else }}
{{ index . 0 }} = {{ toJson $value }}
{{- end }}
{{- end }}

{{/* What a volume of all files of the issuers is made of; empty: there are none. */}}
{{- define "herald.issuerSources" -}}
{{- range $at, $issuer := .Values.auth.issuers }}
{{- with $issuer.ca }}
{{- include "herald.issuerSource" (list . (include "herald.issuerFile" (list $at "ca" .key))) }}
{{- end }}
{{- range $number, $one := $issuer.keys }}
{{- $secret := default $one.publicKey $one.secret }}
{{- include "herald.issuerSource" (list $secret (include "herald.issuerFile" (list $at $number $secret.key))) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "herald.issuerSource" }}
- secret:
    name: {{ (index . 0).name | quote }}
    items:
      - {key: {{ (index . 0).key | quote }}, path: {{ index . 1 | quote }}}
{{- end }}

{{- define "herald.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "herald.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
