{{/*
How many rows wait for a worker: those that the product's own query of due kinds finds (app/generations/due.py). Parked
ones wait for their organization's turn, which more workers would not make come sooner; running ones wait for Replicate.
Each half uses its own index.
*/}}
{{- define "junis.dueRows" -}}
SELECT (SELECT count(*) FROM generations
        WHERE status = 'pending' AND NOT is_parked AND due_at <= now() AND deadline_at > now())
     + (SELECT count(*) FROM generations
        WHERE status = 'processing' AND NOT is_parked AND outcome IS NOT NULL
          AND due_at <= now() AND deadline_at > now())
{{- end -}}

{{/* How many workers there are, by KEDA, and how it signs in to Postgres. Arguments: root, component. */}}
{{- define "junis.scaledObject" -}}
{{- $name := printf "%s-worker" (include "junis.fullname" .root) }}
{{- $scaling := .root.Values.worker.autoscaling }}
{{- $isPooled := eq (toString .root.Values.settings.DATABASE_POOLER) "transaction" }}
{{- $setting := $isPooled | ternary "DATABASE_DIRECT_URL" "DATABASE_URL" }}
{{- $own := get .root.Values.secret.refs $setting | default (dict "name" .root.Values.secret.name "key" $setting) }}
{{- $connection := empty $scaling.connection.name | ternary $own $scaling.connection }}
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  {{- include "junis.metadata" . | nindent 2 }}
spec:
  secretTargetRef:
    - parameter: connection
      name: {{ $connection.name }}
      key: {{ $connection.key }}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "junis.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $name }}
  minReplicaCount: {{ $scaling.minReplicas }}
  maxReplicaCount: {{ $scaling.maxReplicas }}
  pollingInterval: {{ $scaling.pollingSeconds }}
  cooldownPeriod: {{ $scaling.cooldownSeconds }}
  # While Postgres cannot be asked.
  fallback:
    failureThreshold: 3
    replicas: {{ .root.Values.worker.replicas }}
  triggers:
    - type: postgresql
      metricType: AverageValue
      authenticationRef:
        name: {{ $name }}
      metadata:
        query: |
          {{- include "junis.dueRows" . | nindent 10 }}
        targetQueryValue: {{ $scaling.dueRows | quote }}
        # Only a name: KEDA signs in by the connection string, but releases that pool their connections tell pools apart
        # by what is said here, and would give two databases one pool (kedacore/keda#7248).
        dbName: {{ .root.Release.Namespace }}/{{ $name }}
{{- end -}}
