#!/bin/sh
# What `dag setup cluster --context=ours --kubeconfig=/etc/kube/config --namespace=builds --service-account=builder --annotation=eks.amazonaws.com/role-arn=arn:aws:iam::1:role/dag --group=builders --user=ann --secret-key --project=shop --arm` does.

set -eu

export KUBECONFIG=/etc/kube/config

kubectl() { command kubectl --context=ours "$@"; }

says() { # LINE COMMAND…: does it print that line?
  line=$1; shift
  "$@" 2>/dev/null | grep -qxFe "$line"
}

ours() { # KIND NAME, or -f URL: is there nothing of that name that somebody else has made?
  ! kubectl get "$@" --ignore-not-found --no-headers -o 'custom-columns=OWNER:.metadata.labels.app\.kubernetes\.io/managed-by' |
    grep -qvxF dag || { echo "$* is somebody else's and stays as it is"; false; }
}

# 1. Namespace builds: where builds run
if ours namespace builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
fi

# 2. Pod Security level: the stricter ones forbid what bubblewrap needs
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: builds
  labels:
    pod-security.kubernetes.io/enforce: privileged
EOF

# 3. Service account builder: pods run as this account
if ours serviceaccount builder -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: builder
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
fi

# 4. Identity: the service account stands for an account of the cloud
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: builder
  namespace: builds
  annotations:
    eks.amazonaws.com/role-arn: arn:aws:iam::1:role/dag
EOF

# 5. Role: it allows what `dag pod` does, and no more
if ours role dag -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: dag
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
rules:
- apiGroups:
  - ""
  resources:
  - pods
  verbs:
  - create
  - get
  - list
  - watch
  - delete
- apiGroups:
  - ""
  resources:
  - pods/log
  verbs:
  - get
- apiGroups:
  - ""
  resources:
  - pods/proxy
  verbs:
  - get
- apiGroups:
  - ""
  resources:
  - events
  verbs:
  - list
  - watch
- apiGroups:
  - secrets-store.csi.x-k8s.io
  resources:
  - secretproviderclasses
  verbs:
  - get
EOF
fi

# 6. Role binding: ann, builders may run `dag pod`
if ours rolebinding dag -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: dag
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: dag
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: User
  name: ann
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: builders
EOF
fi

# 7. csi-secrets-store on arm nodes: these have a taint, which it must tolerate
if says '<none>' kubectl get daemonset csi-secrets-store -n kube-system --no-headers -o custom-columns=OWNER:.metadata.labels.dag/tolerates; then
  kubectl patch daemonset csi-secrets-store -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}}]' ||
  kubectl patch daemonset csi-secrets-store -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations", "value": [{"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}]}]'
  kubectl label daemonset csi-secrets-store -n kube-system dag/tolerates=dag
fi

# 8. csi-secrets-store-secrets-store-csi-driver on arm nodes: these have a taint, which it must tolerate
if says '<none>' kubectl get daemonset csi-secrets-store-secrets-store-csi-driver -n kube-system --no-headers -o custom-columns=OWNER:.metadata.labels.dag/tolerates; then
  kubectl patch daemonset csi-secrets-store-secrets-store-csi-driver -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}}]' ||
  kubectl patch daemonset csi-secrets-store-secrets-store-csi-driver -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations", "value": [{"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}]}]'
  kubectl label daemonset csi-secrets-store-secrets-store-csi-driver -n kube-system dag/tolerates=dag
fi

# 9. csi-secrets-store-provider-gcp on arm nodes: these have a taint, which it must tolerate
if says '<none>' kubectl get daemonset csi-secrets-store-provider-gcp -n kube-system --no-headers -o custom-columns=OWNER:.metadata.labels.dag/tolerates; then
  kubectl patch daemonset csi-secrets-store-provider-gcp -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}}]' ||
  kubectl patch daemonset csi-secrets-store-provider-gcp -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations", "value": [{"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}]}]'
  kubectl label daemonset csi-secrets-store-provider-gcp -n kube-system dag/tolerates=dag
fi

# 10. SecretProviderClass melange-key: it makes a file of the secret
if ours secretproviderclass melange-key -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: melange-key
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  provider: gcp
  parameters:
    secrets: "[{\"resourceName\": \"projects/shop/secrets/melange-signing-key/versions/latest\", \"path\": \"melange.rsa\"}]"
EOF
fi

# 11. Secret test: a pod on a node of amd64 must find the signing key
kubectl delete pod dag-secret-test-amd64 -n builds --ignore-not-found
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: Pod
metadata:
  name: dag-secret-test-amd64
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  restartPolicy: Never
  serviceAccountName: builder
  automountServiceAccountToken: false
  containers:
  - name: test
    image: docker.io/library/busybox:1.36.1@sha256:73aaf090f3d85aa34ee199857f03fa3a95c8ede2ffd4cc2cdb5b94e566b11662
    command:
    - sh
    - "-c"
    - "grep -q 'PRIVATE KEY-----' /var/secrets/melange.rsa || { echo '/var/secrets/melange.rsa holds no private key'; exit 1; }"
    resources:
      requests:
        cpu: "10m"
        memory: "16Mi"
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
    - name: key
      mountPath: /var/secrets
      readOnly: true
  volumes:
  - name: key
    csi:
      driver: secrets-store.csi.k8s.io
      readOnly: true
      volumeAttributes:
        secretProviderClass: melange-key
  nodeSelector:
    kubernetes.io/arch: amd64
EOF
kubectl wait pod dag-secret-test-amd64 -n builds --for=jsonpath={.status.phase}=Succeeded --timeout=300s || { kubectl describe pod dag-secret-test-amd64 -n builds; exit 1; }
kubectl delete pod dag-secret-test-amd64 -n builds

# 12. Secret test: a pod on a node of arm64 must find the signing key
kubectl delete pod dag-secret-test-arm64 -n builds --ignore-not-found
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: Pod
metadata:
  name: dag-secret-test-arm64
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  restartPolicy: Never
  serviceAccountName: builder
  automountServiceAccountToken: false
  containers:
  - name: test
    image: docker.io/library/busybox:1.36.1@sha256:73aaf090f3d85aa34ee199857f03fa3a95c8ede2ffd4cc2cdb5b94e566b11662
    command:
    - sh
    - "-c"
    - "grep -q 'PRIVATE KEY-----' /var/secrets/melange.rsa || { echo '/var/secrets/melange.rsa holds no private key'; exit 1; }"
    resources:
      requests:
        cpu: "10m"
        memory: "16Mi"
    terminationMessagePolicy: FallbackToLogsOnError
    volumeMounts:
    - name: key
      mountPath: /var/secrets
      readOnly: true
  volumes:
  - name: key
    csi:
      driver: secrets-store.csi.k8s.io
      readOnly: true
      volumeAttributes:
        secretProviderClass: melange-key
  nodeSelector:
    kubernetes.io/arch: arm64
  tolerations:
  - key: kubernetes.io/arch
    operator: Equal
    value: arm64
    effect: NoSchedule
EOF
kubectl wait pod dag-secret-test-arm64 -n builds --for=jsonpath={.status.phase}=Succeeded --timeout=300s || { kubectl describe pod dag-secret-test-arm64 -n builds; exit 1; }
kubectl delete pod dag-secret-test-arm64 -n builds
