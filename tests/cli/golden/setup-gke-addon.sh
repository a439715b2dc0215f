#!/bin/sh
# What `dag setup gke --project=shop --region=us-east1 --signing-key=melange.rsa --csi-driver=secrets-store-gke.csi.k8s.io` does.

set -eu

kubectl() { command kubectl --context=gke_shop_us-east1_dag "$@"; }

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

# 1. API container.googleapis.com
says container.googleapis.com gcloud services list --enabled --project=shop '--format=value(config.name)' ||
gcloud services enable container.googleapis.com --project=shop

# 2. API artifactregistry.googleapis.com
says artifactregistry.googleapis.com gcloud services list --enabled --project=shop '--format=value(config.name)' ||
gcloud services enable artifactregistry.googleapis.com --project=shop

# 3. API iam.googleapis.com
says iam.googleapis.com gcloud services list --enabled --project=shop '--format=value(config.name)' ||
gcloud services enable iam.googleapis.com --project=shop

# 4. API iamcredentials.googleapis.com
says iamcredentials.googleapis.com gcloud services list --enabled --project=shop '--format=value(config.name)' ||
gcloud services enable iamcredentials.googleapis.com --project=shop

# 5. API secretmanager.googleapis.com
says secretmanager.googleapis.com gcloud services list --enabled --project=shop '--format=value(config.name)' ||
gcloud services enable secretmanager.googleapis.com --project=shop

# 6. Repository gcr.io/shop: bundles go there
says DOCKER gcloud artifacts repositories describe gcr.io --location=us --project=shop '--format=value(format)' ||
gcloud artifacts repositories create gcr.io \
  --location=us \
  --repository-format=docker \
  --project=shop \
  --labels=managed_by=dag

# 7. Account dag-nodes: nodes run as this account
says dag-nodes@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' ||
gcloud iam service-accounts create dag-nodes \
  --project=shop \
  '--description=made by dag setup'

# 8. Nodes may write logs and metrics
says roles/container.defaultNodeServiceAccount,serviceAccount:dag-nodes@shop.iam.gserviceaccount.com gcloud projects get-iam-policy shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' ||
gcloud projects add-iam-policy-binding shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/container.defaultNodeServiceAccount \
  --condition=None

# 9. Nodes may pull bundles
says roles/artifactregistry.reader,serviceAccount:dag-nodes@shop.iam.gserviceaccount.com gcloud artifacts repositories get-iam-policy gcr.io --location=us --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' ||
gcloud artifacts repositories add-iam-policy-binding gcr.io \
  --location=us \
  --project=shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/artifactregistry.reader

# 10. Cluster dag: it makes nodes when builds need them, and removes them afterwards
says dag gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(name)' ||
gcloud container clusters create dag \
  --region=us-east1 \
  --project=shop \
  --release-channel=regular \
  --labels=managed_by=dag \
  --num-nodes=1 \
  --service-account=dag-nodes@shop.iam.gserviceaccount.com \
  --scopes=https://www.googleapis.com/auth/cloud-platform \
  --workload-pool=shop.svc.id.goog \
  --enable-autoprovisioning \
  --max-cpu=64 \
  --max-memory=256 \
  --autoprovisioning-service-account=dag-nodes@shop.iam.gserviceaccount.com \
  --autoprovisioning-scopes=https://www.googleapis.com/auth/cloud-platform

# 11. Workload pool: pods may have identities
says shop.svc.id.goog gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(workloadIdentityConfig.workloadPool)' ||
gcloud container clusters update dag \
  --region=us-east1 \
  --project=shop \
  --workload-pool=shop.svc.id.goog

# 12. Autoprovisioning: nodes become as large as builds ask for
says True gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(autoscaling.enableNodeAutoprovisioning)' ||
gcloud container clusters update dag \
  --region=us-east1 \
  --project=shop \
  --enable-autoprovisioning \
  --max-cpu=64 \
  --max-memory=256 \
  --autoprovisioning-service-account=dag-nodes@shop.iam.gserviceaccount.com \
  --autoprovisioning-scopes=https://www.googleapis.com/auth/cloud-platform

# 13. Secret Manager add-on: it mounts the signing key into pods
says True gcloud container clusters describe dag --region=us-east1 --project=shop '--format=value(secretManagerConfig.enabled)' ||
gcloud container clusters update dag \
  --region=us-east1 \
  --project=shop \
  --enable-secret-manager

# 14. Credentials in your kubeconfig
gcloud container clusters get-credentials dag --region=us-east1 --project=shop

# 15. Account dag-builds: pods have its rights
says dag-builds@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' ||
gcloud iam service-accounts create dag-builds \
  --project=shop \
  '--description=made by dag setup'

# 16. Pods of service account default in dag-builds have those rights
says 'roles/iam.workloadIdentityUser,serviceAccount:shop.svc.id.goog[dag-builds/default]' gcloud iam service-accounts get-iam-policy dag-builds@shop.iam.gserviceaccount.com --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' ||
gcloud iam service-accounts add-iam-policy-binding dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  '--member=serviceAccount:shop.svc.id.goog[dag-builds/default]' \
  --role=roles/iam.workloadIdentityUser

# 17. Secret melange-signing-key
says melange-signing-key gcloud secrets describe melange-signing-key --project=shop '--format=value(name.basename())' ||
gcloud secrets create melange-signing-key \
  --project=shop \
  --replication-policy=automatic \
  --labels=managed_by=dag

# 18. Content of the secret: the signing key; the same command adds a newer one
says ENABLED gcloud secrets versions describe latest --secret=melange-signing-key --project=shop '--format=value(state)' ||
gcloud secrets versions add melange-signing-key --project=shop --data-file=melange.rsa

# 19. Builds may read melange-signing-key, and no other secret
says roles/secretmanager.secretAccessor,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud secrets get-iam-policy melange-signing-key --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' ||
gcloud secrets add-iam-policy-binding melange-signing-key \
  --project=shop \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/secretmanager.secretAccessor

# 20. Namespace dag-builds: where builds run
if ours_to_make namespace dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
else
  echo '--namespace dag-builds says that builds shall have it; or name another one' >&2
  exit 1
fi

# 21. Pod Security level: the stricter ones forbid what bubblewrap needs
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: dag-builds
  labels:
    pod-security.kubernetes.io/enforce: privileged
EOF

# 22. Service account default: pods run as this account
if ours_to_make serviceaccount default -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: default
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
fi

# 23. Identity: the service account stands for an account of the cloud
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: default
  namespace: dag-builds
  annotations:
    iam.gke.io/gcp-service-account: dag-builds@shop.iam.gserviceaccount.com
EOF

# 24. Service account dag-driver: `dag build --detach` has a Job drive a build as this
if ours_to_make serviceaccount dag-driver -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: dag-driver
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
EOF
fi

# 25. Role of drivers: it allows what driving a build takes, and no more
if ours_to_make role dag-driver -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: dag-driver
  namespace: dag-builds
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

# 26. Role binding: dag-driver may drive builds
if ours_to_make rolebinding dag-driver -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: dag-driver
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: dag-driver
subjects:
- kind: ServiceAccount
  name: dag-driver
  namespace: dag-builds
EOF
fi

# 27. SecretProviderClass melange-key: it makes a file of the secret
if ours_to_make secretproviderclass melange-key -n dag-builds; then
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: melange-key
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  provider: gke
  parameters:
    secrets: "[{\"resourceName\": \"projects/shop/secrets/melange-signing-key/versions/latest\", \"path\": \"melange.rsa\"}]"
EOF
fi

# 28. Secret test: a pod must find the signing key
ours_to_make pod dag-secret-test -n dag-builds || exit 1
remove pod dag-secret-test -n dag-builds
kubectl apply --server-side --field-manager=dag -f - <<'EOF'
apiVersion: v1
kind: Pod
metadata:
  name: dag-secret-test
  namespace: dag-builds
  labels:
    app.kubernetes.io/managed-by: dag
spec:
  restartPolicy: Never
  serviceAccountName: default
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
      driver: secrets-store-gke.csi.k8s.io
      readOnly: true
      volumeAttributes:
        secretProviderClass: melange-key
EOF
kubectl wait pod dag-secret-test -n dag-builds --for=jsonpath={.status.phase}=Succeeded --timeout=300s || { kubectl describe pod dag-secret-test -n dag-builds; exit 1; }
remove pod dag-secret-test -n dag-builds

echo 'builds go where `dag pod` is told: give it the flags below, or write them into dag.toml'
echo 'ready: dag pod --project=shop --namespace=dag-builds --service-account=default --secret-key --csi-driver=secrets-store-gke.csi.k8s.io'
