{{/* What an instance's container is given. The check of the configuration (check.yaml) is given the same. */}}

{{- define "herald.configuration" -}}
herald.toml: |
  # By the chart's value `config`; what other values set comes by the environment.
  {{- with .Values.config }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "herald.issuers" . | trim }}
  # By the value `auth.issuers`.
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "herald.callout" . | trim }}
  # By the value `auth.callout`.
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "herald.env" -}}
- name: HERALD_INSTANCE__NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: HERALD_HTTP__LISTEN
  value: 0.0.0.0:8080
- name: HERALD_HTTP__ADMIN_LISTEN
  value: 0.0.0.0:9090
{{- with .Values.basePath }}
- name: HERALD_HTTP__BASE_PATH
  value: {{ . | quote }}
{{- end }}
{{- with .Values.trustedProxies }}
- name: HERALD_HTTP__TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
- name: HERALD_DRAIN__TIMEOUT
  value: {{ printf "%ds" (int .Values.drainSeconds) | quote }}
- name: HERALD_READINESS__BUS
  value: {{ .Values.readiness.bus }}
- name: HERALD_LOG__LEVEL
  value: {{ .Values.logLevel | quote }}
- name: HERALD_LOG__FORMAT
  value: json
{{- with include "herald.busUrl" . }}
- name: HERALD_BUS__URL
  value: {{ . | quote }}
{{- end }}
- name: HERALD_BUS__PREFIX
  value: {{ .Values.bus.prefix | quote }}
{{- if ne .Values.bus.auth "none" }}
{{- if eq .Values.bus.auth "password" }}
- name: HERALD_BUS__USER
  value: {{ .Values.bus.user | quote }}
{{- end }}
- name: {{ include "herald.busSecretKey" . }}
  value: /run/secrets/herald/bus/{{ .Values.bus.secret.key }}
{{- end }}
{{- if .Values.bus.ca.name }}
- name: HERALD_BUS__CA_FILE
  value: /run/secrets/herald/bus-ca/{{ .Values.bus.ca.key }}
{{- end }}
{{- if .Values.bus.controlKey.name }}
- name: HERALD_BUS__CONTROL_KEY_FILE
  value: /run/secrets/herald/control/{{ .Values.bus.controlKey.key }}
- name: HERALD_BUS__CONTROL_UNSIGNED
  value: {{ .Values.bus.controlUnsigned }}
{{- end }}
{{- if .Values.usersSecret.name }}
- name: HERALD_AUTH__USERS_FILE
  value: /run/secrets/herald/users/{{ .Values.usersSecret.key }}
{{- end }}
{{- if .Values.keysSecret.name }}
- name: HERALD_API__KEYS_FILE
  value: /run/secrets/herald/keys/{{ .Values.keysSecret.key }}
{{- end }}
{{- if .Values.tls.secretName }}
{{- range list "HTTP__TLS" "HTTP__ADMIN_TLS" }}
- name: HERALD_{{ . }}__CERT_FILE
  value: /run/secrets/herald/tls/tls.crt
- name: HERALD_{{ . }}__KEY_FILE
  value: /run/secrets/herald/tls/tls.key
{{- end }}
{{- end }}
{{- with .Values.auth.pageOidc }}
{{- if .issuer }}
- name: HERALD_HTTP__PAGE_OIDC__ISSUER
  value: {{ .issuer | quote }}
- name: HERALD_HTTP__PAGE_OIDC__CLIENT_ID
  value: {{ .clientId | quote }}
- name: HERALD_HTTP__PAGE_OIDC__SCOPES
  value: {{ join "," .scopes | quote }}
{{- with .audience }}
- name: HERALD_HTTP__PAGE_OIDC__AUDIENCE
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with include "herald.authOrder" . }}
- name: HERALD_AUTH__ORDER
  value: {{ . | quote }}
{{- end }}
{{- if .Values.auth.revokedFile.volume }}
- name: HERALD_AUTH__REVOKED_FILE
  value: /var/lib/herald/revoked
{{- end }}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with .Values.tracing.pageUrl }}
- name: HERALD_HTTP__TRACE_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "herald.volumeMounts" -}}
- name: config
  mountPath: /etc/herald
  readOnly: true
{{- if ne .Values.bus.auth "none" }}
- name: bus
  mountPath: /run/secrets/herald/bus
  readOnly: true
{{- end }}
{{- if .Values.bus.ca.name }}
- name: bus-ca
  mountPath: /run/secrets/herald/bus-ca
  readOnly: true
{{- end }}
{{- if .Values.bus.controlKey.name }}
- name: control
  mountPath: /run/secrets/herald/control
  readOnly: true
{{- end }}
{{- if .Values.usersSecret.name }}
- name: users
  mountPath: /run/secrets/herald/users
  readOnly: true
{{- end }}
{{- if .Values.keysSecret.name }}
- name: keys
  mountPath: /run/secrets/herald/keys
  readOnly: true
{{- end }}
{{- if .Values.tls.secretName }}
# The whole folder: by subPath, a renewed certificate would never come.
- name: tls
  mountPath: /run/secrets/herald/tls
  readOnly: true
{{- end }}
{{- if include "herald.issuerSources" . }}
- name: issuers
  mountPath: /run/secrets/herald/issuers
  readOnly: true
{{- end }}
{{- if .Values.auth.callout.ca }}
- name: callout-ca
  mountPath: /run/secrets/herald/callout-ca
  readOnly: true
{{- end }}
{{- if .Values.auth.revokedFile.volume }}
# The folder: the file is replaced by another one beside it.
- name: revoked
  mountPath: /var/lib/herald
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{/* The release's values with `configName`, the ConfigMap; and `isCheck` where the file of revocations is another's. */}}
{{- define "herald.volumes" -}}
- name: config
  configMap:
    name: {{ .configName }}
{{- if ne .Values.bus.auth "none" }}
- name: bus
  secret:
    secretName: {{ tpl .Values.bus.secret.name . | quote }}
    items:
      - {key: {{ .Values.bus.secret.key | quote }}, path: {{ .Values.bus.secret.key | quote }}}
{{- end }}
{{- if .Values.bus.ca.name }}
- name: bus-ca
  secret:
    secretName: {{ .Values.bus.ca.name }}
    items:
      - {key: {{ .Values.bus.ca.key | quote }}, path: {{ .Values.bus.ca.key | quote }}}
{{- end }}
{{- if .Values.bus.controlKey.name }}
- name: control
  secret:
    secretName: {{ tpl .Values.bus.controlKey.name . | quote }}
    items:
      - {key: {{ .Values.bus.controlKey.key | quote }}, path: {{ .Values.bus.controlKey.key | quote }}}
{{- end }}
{{- if .Values.usersSecret.name }}
- name: users
  secret:
    secretName: {{ .Values.usersSecret.name }}
    items:
      - {key: {{ .Values.usersSecret.key | quote }}, path: {{ .Values.usersSecret.key | quote }}}
{{- end }}
{{- if .Values.keysSecret.name }}
- name: keys
  secret:
    secretName: {{ .Values.keysSecret.name }}
    items:
      - {key: {{ .Values.keysSecret.key | quote }}, path: {{ .Values.keysSecret.key | quote }}}
{{- end }}
{{- if .Values.tls.secretName }}
- name: tls
  secret:
    secretName: {{ .Values.tls.secretName }}
{{- end }}
{{- with include "herald.issuerSources" . | trim }}
- name: issuers
  projected:
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- with .Values.auth.callout.ca }}
- name: callout-ca
  secret:
    secretName: {{ .name | quote }}
    items:
      - {key: {{ .key | quote }}, path: {{ .key | quote }}}
{{- end }}
{{- with .Values.auth.revokedFile.volume }}
- name: revoked
  {{- if $.isCheck }}
  emptyDir: {}
  {{- else }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{/* Who decides about a credential; empty: as the configuration says. */}}
{{- define "herald.authOrder" -}}
{{- if .Values.auth.order }}
{{- join "," .Values.auth.order }}
{{- else if .Values.auth.callout }}
{{- "token,password,callout" }}
{{- end }}
{{- end }}

{{/* Whether Herald keeps its revocations on a volume that two pods cannot share. */}}
{{- define "herald.hasOwnDisk" -}}
{{- with .Values.auth.revokedFile.volume }}{{ if .persistentVolumeClaim }}yes{{ end }}{{ end }}
{{- end }}
