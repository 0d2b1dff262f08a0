{{/* The environment of a process, from settings.yaml, `settings` and Secrets. */}}

{{/* A value as the environment has it. Helm's numbers are floating: 5368709120 must not become 5.36870912e+09. */}}
{{- define "junis.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ int64 . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end -}}

{{/* Whether a secret setting must be there. Arguments: root, name, required (a list). */}}
{{- define "junis.isRequired" -}}
{{- $isPooled := eq (toString .root.Values.settings.DATABASE_POOLER) "transaction" -}}
{{- if or (has .name .required) (and $isPooled (eq .name "DATABASE_DIRECT_URL")) -}}yes{{- end -}}
{{- end -}}

{{/* The entries of `env`. Arguments: root, component, secret (name and refs). */}}
{{- define "junis.env" -}}
{{- $root := .root -}}
{{- $refs := .secret.refs | default dict -}}
{{- $secretName := required "secret.name and migrate.secret.name must name existing Secrets" .secret.name -}}
{{- range $part := index ($root.Files.Get "settings.yaml" | fromYaml) .component }}
{{- range $name := $part.plain }}
{{- $value := include "junis.text" (get $root.Values.settings $name) }}
{{- if hasKey $refs $name }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ (get $refs $name).name }}, key: {{ (get $refs $name).key }}}}
{{- else if and (hasKey $root.Values.settings $name) $value }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- range $name := concat ($part.required | default list) ($part.optional | default list) }}
{{- $arguments := dict "root" $root "name" $name "required" ($part.required | default list) }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ hasKey $refs $name | ternary (get $refs $name | default dict).name $secretName }}
      key: {{ hasKey $refs $name | ternary (get $refs $name | default dict).key $name }}
      {{- if not (or (hasKey $refs $name) (include "junis.isRequired" $arguments)) }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- if ne .component "migrate" }}
- name: STORAGE
  value: s3
{{- end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
