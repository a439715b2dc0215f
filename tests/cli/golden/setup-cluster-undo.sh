#!/bin/sh
# What `dag setup cluster --context=ours --kubeconfig=/etc/kube/config --namespace=builds --service-account=builder --annotation=eks.amazonaws.com/role-arn=arn:aws:iam::1:role/dag --group=builders --user=ann --secret-key --project=shop --arm --undo` does.

export KUBECONFIG=/etc/kube/config

kubectl() { command kubectl --context=ours "$@"; }

ours() { # KIND NAME, or -f URL: is there nothing of that name that somebody else has made?
  ! kubectl get "$@" --ignore-not-found --no-headers -o 'custom-columns=OWNER:.metadata.labels.app\.kubernetes\.io/managed-by' |
    grep -qvxF dag || { echo "$* is somebody else's and stays as it is"; false; }
}

# 1. Secret test: a pod on a node of arm64 must find the signing key
kubectl delete pod dag-secret-test-arm64 -n builds --ignore-not-found

# 2. Secret test: a pod on a node of amd64 must find the signing key
kubectl delete pod dag-secret-test-amd64 -n builds --ignore-not-found

# 3. SecretProviderClass melange-key: it makes a file of the secret
ours secretproviderclass melange-key -n builds && kubectl delete secretproviderclass melange-key -n builds --ignore-not-found

# 4. csi-secrets-store-provider-gcp on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store-provider-gcp: its toleration is removed by `kubectl edit` alone

# 5. csi-secrets-store-secrets-store-csi-driver on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store-secrets-store-csi-driver: its toleration is removed by `kubectl edit` alone

# 6. csi-secrets-store on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store: its toleration is removed by `kubectl edit` alone

# 7. Role binding: ann, builders may run `dag pod`
ours rolebinding dag -n builds && kubectl delete rolebinding dag -n builds --ignore-not-found

# 8. Role: it allows what `dag pod` does, and no more
ours role dag -n builds && kubectl delete role dag -n builds --ignore-not-found

# 9. Identity: the service account stands for an account of the cloud
kubectl get serviceaccount builder -n builds >/dev/null 2>&1 &&
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: builder
  namespace: builds
EOF

# 10. Service account builder: pods run as this account
ours serviceaccount builder -n builds && kubectl delete serviceaccount builder -n builds --ignore-not-found

# 11. Pod Security level: the stricter ones forbid what bubblewrap needs
kubectl get namespace builds >/dev/null 2>&1 &&
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: builds
EOF

# 12. Namespace builds: where builds run
ours namespace builds && kubectl delete namespace builds --ignore-not-found
