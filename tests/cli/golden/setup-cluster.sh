#!/bin/sh
# What `dag setup cluster --context=ours --kubeconfig=/etc/kube/config --namespace=builds --service-account=builder --annotation=eks.amazonaws.com/role-arn=arn:aws:iam::1:role/dag --group=builders --user=ann --secret-key --project=shop --arm --close-network --reach=10.1.2.0/24 --reach=10.1.2.3` does.

set -eu

export KUBECONFIG=/etc/kube/config

kubectl() { command kubectl --context=ours "$@"; }

says() { # LINE COMMAND…: does it print that line?
  line=$1; shift
  "$@" 2>/dev/null | grep -qxFe "$line"
}

gone= # yes, if there is no cluster any more
see() { # KIND NAME, or -f URL: a line for each such object. Without an answer this script ends.
  [ -z "$gone" ] || return 0
  { said=$(kubectl get "$@" --ignore-not-found --no-headers -o \
    'custom-columns=OWNER:.metadata.labels.app\.kubernetes\.io/managed-by,UID:.metadata.uid,VERSION:.metadata.resourceVersion,API:.apiVersion,KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name,MANAGERS:.metadata.managedFields[*].manager' 2>&1 >&3); } 3>&1 &&
    return
  # These are answers, too: it is not there, nor is anything of its kind.
  if printf '%s\n' "$said" | grep -qvE '\(NotFound\)|have a resource type "secretproviderclass"'; then
    echo "whose it is cannot be seen, so nothing more is done: $*: $said" >&2
    exit 1
  fi
}

ours_to_make() { # KIND NAME, or -f URL: is there none of it that somebody else has made?
  rows=$(see "$@") || exit 1
  ! printf '%s\n' "$rows" | grep -qvE '^(dag .*[ ,]dag(,.*)? *)?$' ||
    { echo "$* is somebody else's and stays as it is" >&2; false; }
}

ours() { # KIND NAME, or -f URL: the path, UID and version of each that dag has made
  rows=$(see "$@") || exit 1
  printf '%s\n' "$rows" | while read -r owner uid version api kind namespace name managers; do
    case $owner:,$managers, in
      :*) continue ;;
      dag:*,dag,*) ;;
      *) echo "$* is somebody else's and stays as it is" >&2; continue ;;
    esac
    case $api in */*) root=/apis/$api ;; *) root=/api/$api ;; esac
    [ "$namespace" = '<none>' ] || root=$root/namespaces/$namespace
    case $kind in *s) kinds=${kind}es ;; *) kinds=${kind}s ;; esac
    echo "$root/$(echo "$kinds" | tr A-Z a-z)/$name $uid $version"
  done
}

remove() { # KIND NAME, or -f URL: delete what dag has made of it, unless it changes meanwhile
  seen=$(ours "$@")
  printf '%s\n' "$seen" | while read -r path uid version; do
    [ -n "$path" ] || continue
    printf '{"kind":"DeleteOptions","apiVersion":"v1","preconditions":%s}' \
      "{\"uid\":\"$uid\",\"resourceVersion\":\"$version\"}" |
      kubectl delete --raw "$path" -f - >/dev/null
    echo "deleted: $path"
    case $1 in
      namespace | pod) kubectl wait --for=delete "$@" --timeout=300s </dev/null ;;
    esac
  done
}

# 1. Namespace builds: where builds run
if ours_to_make namespace builds; then
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
if ours_to_make serviceaccount builder -n builds; then
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

# 5. Service account dag-driver: `dag build --detach` has a Job drive a build as this
if ours_to_make serviceaccount dag-driver -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: dag-driver
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
fi

# 6. Role of drivers: it allows what driving a build takes, and no more
if ours_to_make role dag-driver -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: dag-driver
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
rules:
- apiGroups:
  - batch
  resources:
  - jobs
  verbs:
  - create
  - get
  - list
  - watch
  - delete
- apiGroups:
  - ""
  resources:
  - pods
  verbs:
  - get
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - pods/log
  verbs:
  - get
- apiGroups:
  - ""
  resources:
  - persistentvolumeclaims
  verbs:
  - get
- apiGroups:
  - coordination.k8s.io
  resources:
  - leases
  verbs:
  - get
  - create
  - patch
- apiGroups:
  - ""
  resources:
  - events
  verbs:
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - serviceaccounts
  verbs:
  - get
- apiGroups:
  - kueue.x-k8s.io
  resources:
  - localqueues
  verbs:
  - get
- apiGroups:
  - kueue.x-k8s.io
  resources:
  - workloads
  verbs:
  - list
EOF
fi

# 7. Role binding: dag-driver may drive builds
if ours_to_make rolebinding dag-driver -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: dag-driver
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: dag-driver
subjects:
- kind: ServiceAccount
  name: dag-driver
  namespace: builds
EOF
fi

# 8. Role: it allows what `dag pod` and `dag build` do, and no more
if ours_to_make role dag -n builds; then
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
  - batch
  resources:
  - jobs
  verbs:
  - create
  - get
  - list
  - watch
  - delete
- apiGroups:
  - ""
  resources:
  - persistentvolumeclaims
  verbs:
  - get
- apiGroups:
  - coordination.k8s.io
  resources:
  - leases
  verbs:
  - get
  - create
  - patch
- apiGroups:
  - ""
  resources:
  - events
  verbs:
  - list
  - watch
- apiGroups:
  - ""
  resources:
  - serviceaccounts
  verbs:
  - get
- apiGroups:
  - kueue.x-k8s.io
  resources:
  - localqueues
  verbs:
  - get
- apiGroups:
  - kueue.x-k8s.io
  resources:
  - workloads
  verbs:
  - list
- apiGroups:
  - secrets-store.csi.x-k8s.io
  resources:
  - secretproviderclasses
  verbs:
  - get
EOF
fi

# 9. Role binding: ann, builders may run `dag pod`
if ours_to_make rolebinding dag -n builds; then
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

# 10. Network policy: builds reach public addresses, if the cluster enforces policies
if ours_to_make networkpolicy dag -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: dag
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/managed-by: dag
  policyTypes:
  - Egress
  egress:
  - ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
  - to:
    - ipBlock:
        cidr: "0.0.0.0/0"
        except:
        - "0.0.0.0/8"
        - "10.0.0.0/8"
        - "100.64.0.0/10"
        - "127.0.0.0/8"
        - "169.254.0.0/16"
        - "172.16.0.0/12"
        - "192.0.0.0/24"
        - "192.0.2.0/24"
        - "192.168.0.0/16"
        - "198.18.0.0/15"
        - "198.51.100.0/24"
        - "203.0.113.0/24"
        - "224.0.0.0/4"
        - "240.0.0.0/4"
        - "168.63.129.16/32"
    - ipBlock:
        cidr: "2000::/3"
        except:
        - "2001::/23"
        - "2001:db8::/32"
        - "2002::/16"
        - "3fff::/20"
    - ipBlock:
        cidr: "64:ff9b::/96"
        except:
        - "64:ff9b::/104"
        - "64:ff9b::a00:0/104"
        - "64:ff9b::6440:0/106"
        - "64:ff9b::7f00:0/104"
        - "64:ff9b::a9fe:0/112"
        - "64:ff9b::ac10:0/108"
        - "64:ff9b::c000:0/120"
        - "64:ff9b::c000:200/120"
        - "64:ff9b::c0a8:0/112"
        - "64:ff9b::c612:0/111"
        - "64:ff9b::c633:6400/120"
        - "64:ff9b::cb00:7100/120"
        - "64:ff9b::e000:0/100"
        - "64:ff9b::f000:0/100"
        - "64:ff9b::a83f:8110/128"
    - ipBlock:
        cidr: "10.1.2.0/24"
    - ipBlock:
        cidr: "10.1.2.3/32"
EOF
fi

# 11. Network policy of drivers: they reach the API server, and run nothing of a build
if ours_to_make networkpolicy dag-driver -n builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: dag-driver
  namespace: builds
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  podSelector:
    matchExpressions:
    - key: dag/driver
      operator: Exists
  policyTypes:
  - Egress
  egress:
  - {}
EOF
fi

# 12. csi-secrets-store on arm nodes: these have a taint, which it must tolerate
if says '<none>' kubectl get daemonset csi-secrets-store -n kube-system --no-headers -o custom-columns=OWNER:.metadata.labels.dag/tolerates; then
  kubectl patch daemonset csi-secrets-store -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}}]' ||
  kubectl patch daemonset csi-secrets-store -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations", "value": [{"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}]}]'
  kubectl label daemonset csi-secrets-store -n kube-system dag/tolerates=dag
fi

# 13. csi-secrets-store-secrets-store-csi-driver on arm nodes: these have a taint, which it must tolerate
if says '<none>' kubectl get daemonset csi-secrets-store-secrets-store-csi-driver -n kube-system --no-headers -o custom-columns=OWNER:.metadata.labels.dag/tolerates; then
  kubectl patch daemonset csi-secrets-store-secrets-store-csi-driver -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}}]' ||
  kubectl patch daemonset csi-secrets-store-secrets-store-csi-driver -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations", "value": [{"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}]}]'
  kubectl label daemonset csi-secrets-store-secrets-store-csi-driver -n kube-system dag/tolerates=dag
fi

# 14. csi-secrets-store-provider-gcp on arm nodes: these have a taint, which it must tolerate
if says '<none>' kubectl get daemonset csi-secrets-store-provider-gcp -n kube-system --no-headers -o custom-columns=OWNER:.metadata.labels.dag/tolerates; then
  kubectl patch daemonset csi-secrets-store-provider-gcp -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations/-", "value": {"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}}]' ||
  kubectl patch daemonset csi-secrets-store-provider-gcp -n kube-system --type=json -p '[{"op": "add", "path": "/spec/template/spec/tolerations", "value": [{"key": "kubernetes.io/arch", "operator": "Equal", "value": "arm64", "effect": "NoSchedule"}]}]'
  kubectl label daemonset csi-secrets-store-provider-gcp -n kube-system dag/tolerates=dag
fi

# 15. SecretProviderClass melange-key: it makes a file of the secret
if ours_to_make secretproviderclass melange-key -n builds; then
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

# 16. Secret test: a pod on a node of amd64 must find the signing key
ours_to_make pod dag-secret-test-amd64 -n builds || exit 1
remove pod dag-secret-test-amd64 -n builds
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
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities:
        drop:
        - ALL
      seccompProfile:
        type: RuntimeDefault
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
remove pod dag-secret-test-amd64 -n builds

# 17. Secret test: a pod on a node of arm64 must find the signing key
ours_to_make pod dag-secret-test-arm64 -n builds || exit 1
remove pod dag-secret-test-arm64 -n builds
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
    securityContext:
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities:
        drop:
        - ALL
      seccompProfile:
        type: RuntimeDefault
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
remove pod dag-secret-test-arm64 -n builds

echo 'builds go where `dag pod` is told: give it the flags below, or write them into dag.toml'
echo 'ready: dag pod --namespace=builds --service-account=builder --secret-key'
