#!/bin/sh
# What `dag setup gke --project=shop --zone=europe-west4-a --bucket=gs://apks/wolfi --src-bucket=old --secret-key --arm --user=ann@example.com --namespace=builds --service-account=builder --undo` does.

kubectl() { command kubectl --context=gke_shop_europe-west4-a_dag "$@"; }

says() { # LINE COMMAND…: does it print that line?
  line=$1; shift
  "$@" 2>/dev/null | grep -qxFe "$line"
}

ours() { # KIND NAME, or -f URL: is there nothing of that name that somebody else has made?
  ! kubectl get "$@" --ignore-not-found --no-headers -o 'custom-columns=OWNER:.metadata.labels.app\.kubernetes\.io/managed-by' |
    grep -qvxF dag || { echo "$* is somebody else's and stays as it is"; false; }
}

# 1. Credentials in your kubeconfig
says dag gcloud container clusters describe dag --zone=europe-west4-a --project=shop '--format=value(name)' &&
gcloud container clusters get-credentials dag --zone=europe-west4-a --project=shop

# 2. Secret test: a pod on a node of arm64 must find the signing key
kubectl delete pod dag-secret-test-arm64 -n builds --ignore-not-found

# 3. Secret test: a pod on a node of amd64 must find the signing key
kubectl delete pod dag-secret-test-amd64 -n builds --ignore-not-found

# 4. SecretProviderClass melange-key: it makes a file of the secret
ours secretproviderclass melange-key -n builds && kubectl delete secretproviderclass melange-key -n builds --ignore-not-found

# 5. csi-secrets-store-provider-gcp on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store-provider-gcp: its toleration is removed by `kubectl edit` alone

# 6. csi-secrets-store-secrets-store-csi-driver on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store-secrets-store-csi-driver: its toleration is removed by `kubectl edit` alone

# 7. csi-secrets-store on arm nodes: these have a taint, which it must tolerate
# DaemonSet csi-secrets-store: its toleration is removed by `kubectl edit` alone

# 8. Secrets Store CSI driver and its provider: provider-gcp-plugin.yaml
url=https://raw.githubusercontent.com/GoogleCloudPlatform/secrets-store-csi-driver-provider-gcp/v1.15.0/deploy/provider-gcp-plugin.yaml
ours -f "$url" && kubectl delete -f "$url" --ignore-not-found

# 9. Secrets Store CSI driver and its provider: secrets-store-csi-driver.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store-csi-driver.yaml
ours -f "$url" && kubectl delete -f "$url" --ignore-not-found

# 10. Secrets Store CSI driver and its provider: secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml
ours -f "$url" && kubectl delete -f "$url" --ignore-not-found

# 11. Secrets Store CSI driver and its provider: secrets-store.csi.x-k8s.io_secretproviderclasses.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/secrets-store.csi.x-k8s.io_secretproviderclasses.yaml
ours -f "$url" && kubectl delete -f "$url" --ignore-not-found

# 12. Secrets Store CSI driver and its provider: csidriver.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/csidriver.yaml
ours -f "$url" && kubectl delete -f "$url" --ignore-not-found

# 13. Secrets Store CSI driver and its provider: rbac-secretproviderclass.yaml
url=https://raw.githubusercontent.com/kubernetes-sigs/secrets-store-csi-driver/v1.6.0/deploy/rbac-secretproviderclass.yaml
ours -f "$url" && kubectl delete -f "$url" --ignore-not-found

# 14. Role binding: ann@example.com may run `dag pod`
ours rolebinding dag -n builds && kubectl delete rolebinding dag -n builds --ignore-not-found

# 15. Role: it allows what `dag pod` does, and no more
ours role dag -n builds && kubectl delete role dag -n builds --ignore-not-found

# 16. Identity: the service account stands for an account of the cloud
kubectl get serviceaccount builder -n builds >/dev/null 2>&1 &&
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata:
  name: builder
  namespace: builds
EOF

# 17. Service account builder: pods run as this account
ours serviceaccount builder -n builds && kubectl delete serviceaccount builder -n builds --ignore-not-found

# 18. Pod Security level: the stricter ones forbid what bubblewrap needs
kubectl get namespace builds >/dev/null 2>&1 &&
kubectl apply --server-side --field-manager=dag-setup -f - <<'EOF'
apiVersion: v1
kind: Namespace
metadata:
  name: builds
EOF

# 19. Namespace builds: where builds run
ours namespace builds && kubectl delete namespace builds --ignore-not-found

# 20. Builds may read melange-signing-key, and no other secret
says roles/secretmanager.secretAccessor,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud secrets get-iam-policy melange-signing-key --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud secrets remove-iam-policy-binding melange-signing-key \
  --project=shop \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/secretmanager.secretAccessor

# 21. Builds may read and write objects of gs://apks, and of no other bucket
says roles/storage.objectUser,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud storage buckets get-iam-policy gs://apks '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud storage buckets remove-iam-policy-binding gs://apks \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/storage.objectUser

# 22. Builds may read objects of gs://old, and of no other bucket
says roles/storage.objectViewer,serviceAccount:dag-builds@shop.iam.gserviceaccount.com gcloud storage buckets get-iam-policy gs://old '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud storage buckets remove-iam-policy-binding gs://old \
  --member=serviceAccount:dag-builds@shop.iam.gserviceaccount.com \
  --role=roles/storage.objectViewer

# 23. Pods of service account builder in builds have those rights
says 'roles/iam.workloadIdentityUser,serviceAccount:shop.svc.id.goog[builds/builder]' gcloud iam service-accounts get-iam-policy dag-builds@shop.iam.gserviceaccount.com --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud iam service-accounts remove-iam-policy-binding dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  '--member=serviceAccount:shop.svc.id.goog[builds/builder]' \
  --role=roles/iam.workloadIdentityUser

# 24. Account dag-builds: pods have its rights
says dag-builds@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' &&
says 'made by dag setup' gcloud iam service-accounts describe dag-builds@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
gcloud iam service-accounts delete dag-builds@shop.iam.gserviceaccount.com \
  --project=shop \
  --quiet

# 25. Arm node pool: it is empty until a build for aarch64 comes
says arm gcloud container node-pools describe arm --cluster=dag --zone=europe-west4-a --project=shop '--format=value(name)' &&
says dag gcloud container node-pools describe arm --cluster=dag --zone=europe-west4-a --project=shop '--format=value(config.labels.managed_by)' &&
gcloud container node-pools delete arm \
  --cluster=dag \
  --zone=europe-west4-a \
  --project=shop \
  --quiet

# 26. Cluster dag: it makes nodes when builds need them, and removes them afterwards
says dag gcloud container clusters describe dag --zone=europe-west4-a --project=shop '--format=value(name)' &&
says dag gcloud container clusters describe dag --zone=europe-west4-a --project=shop '--format=value(resourceLabels.managed_by)' &&
gcloud container clusters delete dag --zone=europe-west4-a --project=shop --quiet

# 27. Nodes may pull bundles
says roles/artifactregistry.reader,serviceAccount:dag-nodes@shop.iam.gserviceaccount.com gcloud artifacts repositories get-iam-policy gcr.io --location=us --project=shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud artifacts repositories remove-iam-policy-binding gcr.io \
  --location=us \
  --project=shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/artifactregistry.reader

# 28. Nodes may write logs and metrics
says roles/container.defaultNodeServiceAccount,serviceAccount:dag-nodes@shop.iam.gserviceaccount.com gcloud projects get-iam-policy shop '--flatten=bindings[].members' '--format=csv[no-heading](bindings.role,bindings.members)' &&
gcloud projects remove-iam-policy-binding shop \
  --member=serviceAccount:dag-nodes@shop.iam.gserviceaccount.com \
  --role=roles/container.defaultNodeServiceAccount \
  --condition=None

# 29. Account dag-nodes: nodes run as this account
says dag-nodes@shop.iam.gserviceaccount.com gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(email)' &&
says 'made by dag setup' gcloud iam service-accounts describe dag-nodes@shop.iam.gserviceaccount.com --project=shop '--format=value(description)' &&
gcloud iam service-accounts delete dag-nodes@shop.iam.gserviceaccount.com \
  --project=shop \
  --quiet

# 30. Repository gcr.io/shop: bundles go there
says DOCKER gcloud artifacts repositories describe gcr.io --location=us --project=shop '--format=value(format)' &&
says dag gcloud artifacts repositories describe gcr.io --location=us --project=shop '--format=value(labels.managed_by)' &&
gcloud artifacts repositories delete gcr.io --location=us --project=shop --quiet
