{{/* The name that every object of the release has. */}}
{{- define "telarchy.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods. Never changes in the life of a release. */}}
{{- define "telarchy.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "telarchy.labels" -}}
{{ include "telarchy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "telarchy.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "telarchy.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed with serviceAccount.create: false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "telarchy.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The plurals of all kinds, as a YAML list: each CRD's file is named after its kind. */}}
{{- define "telarchy.kinds" -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
- {{ base $path | trimPrefix "telarchy.dev_" | trimSuffix ".yaml" }}
{{- end }}
{{- end -}}

{{- define "telarchy.statuses" -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
- {{ base $path | trimPrefix "telarchy.dev_" | trimSuffix ".yaml" }}/status
{{- end }}
{{- end -}}

{{/* Those whose deletion is to undo something on hosts, and the hosts: they carry a finalizer of ours until it is undone. */}}
{{- define "telarchy.undone" -}}
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
{{- if or (contains "                deletionPolicy:" ($.Files.Get $path)) (contains "_hosts.yaml" $path) }}
- {{ base $path | trimPrefix "telarchy.dev_" | trimSuffix ".yaml" }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What the operator may do in a fleet's namespace. Nothing else, and docs/kubernetes.md says why each. */}}
{{- define "telarchy.rules" -}}
- apiGroups:
    - telarchy.dev
  resources:
    {{- include "telarchy.kinds" . | trim | nindent 4 }}
  verbs:
    - get
    - list
    - watch
- apiGroups:
    - telarchy.dev
  resources:
    {{- include "telarchy.statuses" . | trim | nindent 4 }}
  verbs:
    - patch
{{- with include "telarchy.undone" . }}
- apiGroups:
    - telarchy.dev
  resources:
    {{- . | trim | nindent 4 }}
  verbs:
    - patch
{{- end }}
- apiGroups:
    - ""
  resources:
    - events
  verbs:
    - create
    - patch
- apiGroups:
    - coordination.k8s.io
  resources:
    - leases
  verbs:
    - create
- apiGroups:
    - coordination.k8s.io
  resources:
    - leases
  resourceNames:
    - telarchy
  verbs:
    - get
    - update
{{- end -}}
