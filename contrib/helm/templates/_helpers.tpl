{{/* The name of a component: (list . "run"). */}}
{{- define "scheduled-images.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" ($root.Release.Name | trunc 50 | trimSuffix "-") (index . 1) -}}
{{- end -}}

{{/* What selects the pods of a component. */}}
{{- define "scheduled-images.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: scheduled-images
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "scheduled-images.labels" -}}
{{- $root := index . 0 -}}
{{ include "scheduled-images.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "scheduled-images.metadata" -}}
name: {{ include "scheduled-images.name" . }}
namespace: {{ (index . 0).Release.Namespace }}
labels:
  {{- include "scheduled-images.labels" . | nindent 2 }}
{{- end -}}

{{/* What the pods of all components have in common. */}}
{{- define "scheduled-images.pod" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65534
  runAsGroup: 65534
  fsGroup: 65534
  seccompProfile:
    type: RuntimeDefault
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "scheduled-images.selector" . | nindent 8 }}
volumes:
  - name: tmp
    emptyDir: {}
{{- if has (index . 1) (list "run" "worker" "beat") }}
  - name: clouds
    secret:
      secretName: {{ $root.Values.cloud.secret }}
      defaultMode: 0440
      items:
        - key: clouds.yaml
          path: clouds.yaml
{{- end }}
{{- end -}}

{{/* What the container of each component has in common. */}}
{{- define "scheduled-images.container" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
name: {{ $component }}
image: {{ printf "%s:%s" $root.Values.image.repository ($root.Values.image.tag | default $root.Chart.AppVersion) | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
resources:
  {{- toYaml (index $root.Values $component).resources | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
{{- if has $component (list "run" "worker" "beat") }}
  - name: clouds
    mountPath: /etc/openstack
    readOnly: true
{{- end }}
{{- end -}}

{{- define "scheduled-images.cloud" -}}
- name: OS_CLOUD
  value: {{ .Values.cloud.name | quote }}
- name: XDG_STATE_HOME
  value: /tmp
{{- end -}}

{{- define "scheduled-images.broker" -}}
- name: CELERY_BROKER_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.broker.secret }}
      key: url
{{- end -}}

{{/* /healthz fails if the cloud has not responded for ten minutes: restart then. /readyz
fails if the last scan failed, or none has ended for ten minutes. */}}
{{- define "scheduled-images.probes" -}}
ports:
  - name: metrics
    containerPort: 9680
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 60
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 30
  timeoutSeconds: 5
{{- end -}}
